"""A video is one self-contained file in a known container, whatever its name is; what is none says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from tests.support.boxes import refer_to
from tests.support.encodings import without_real_time
from tests.support.video import Frames, moving_square, write_clip
from tests.support.videos import open_cpu, video
from vidcls.data.checks.findings import findings
from vidcls.data.checks.inspect import inspect
from vidcls.data.decoding.containers import why_refused
from vidcls.data.decoding.decode import decode
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.readers import open_decord
from vidcls.data.scan import read_header
from vidcls.errors import VidclsError

FRAMES = moving_square(12, 48, 64, dx=5, dy=3)


def refusal(path: Path) -> str:
    """Why a file is refused, by everybody who opens files."""
    reason = why_refused(path)
    assert reason is not None
    with pytest.raises(DecodeError) as looked:
        inspect(path, "decord")
    assert looked.value.reason == reason
    with pytest.raises(DecodeError) as opened:
        read_header(path)
    assert opened.value.reason == reason
    return reason


FORMATS = {  # ending: FFmpeg's name of the container, and of a codec that it takes
    "mp4": ("mp4", "libx264"), "m4v": ("mp4", "mpeg4"), "mov": ("mov", "libx264"), "3gp": ("3gp", "mpeg4"),
    "3g2": ("3g2", "mpeg4"), "mkv": ("matroska", "libx264"), "webm": ("webm", "libvpx-vp9"),
    "avi": ("avi", "mpeg4"), "divx": ("avi", "mpeg4"), "wmv": ("asf", "wmv2"), "asf": ("asf", "mpeg4"),
    "flv": ("flv", "flv"), "mpg": ("mpeg", "mpeg1video"), "vob": ("vob", "mpeg2video"),
    "ts": ("mpegts", "mpeg2video"), "mxf": ("mxf", "mpeg2video"), "ogv": ("ogg", "libvpx"),
    "nut": ("nut", "mpeg4"), "h264": ("h264", "libx264"), "265": ("hevc", "libx265"),
    "m2v": ("mpeg2video", "mpeg2video"), "m1v": ("mpeg1video", "mpeg1video"), "ivf": ("ivf", "libvpx"),
    "mjpeg": ("mjpeg", "mjpeg"), "y4m": ("yuv4mpegpipe", "rawvideo"), "gif": ("gif", "gif"),
    "apng": ("apng", "apng"), "dv": ("dv", "dvvideo"), "obu": ("obu", "libsvtav1"),
}  # fmt: skip
PIXEL_FORMATS = {"gif": "rgb8", "apng": "rgb24", "mjpeg": "yuvj420p"}
SIZES = {"dv": (576, 720)}
OPTIONS = {"265": {"x265-params": "log-level=none:pools=none:frame-threads=1"}, "obu": {"preset": "12"}}


def encoded(path: Path, ending: str, frames: Frames) -> Path:
    container_format, codec = FORMATS[ending]
    with without_real_time(), av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25, options=OPTIONS.get(ending, {}))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = PIXEL_FORMATS.get(ending, "yuv420p")
        stream.codec_context.thread_count = 1
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ending", FORMATS)
def test_containers_of_the_list_are_videos_by_their_content(tmp_path: Path, ending: str) -> None:
    frames = moving_square(12, *SIZES.get(ending, (48, 64)), dx=5, dy=3)
    path = encoded(tmp_path / f"a.{ending}", ending, frames)
    assert why_refused(path) is None
    probe = inspect(path, "pyav").probe
    assert (probe.num_frames, probe.height, probe.width) == frames.shape[:3]
    assert read_header(path).width == frames.shape[2]
    other = path.rename(tmp_path / "without an ending")
    assert why_refused(other) is None


@pytest.mark.parametrize("suffix", ["webp", "gif"])
def test_animated_pictures_show_their_frames(tmp_path: Path, suffix: str) -> None:
    frames = (moving_square(7, 40, 60) // 51 * 51).astype(np.uint8)  # few colours: a palette holds them all
    pages = [Image.fromarray(frame) for frame in frames]
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=40, **options)
    assert why_refused(path) is None
    header = read_header(path)
    assert (header.height, header.width) == (40, 60)
    probe = inspect(path, "decord").probe
    assert probe.decoder == "images"
    shown = decode(path, None, size=(40, 60), decoder=probe.decoder, seek_points=probe.seek_points)
    assert (shown == frames).all()
    some = decode(path, [1, 4, 4], size=(40, 60), decoder=probe.decoder, seek_points=probe.seek_points)
    assert (some == frames[[1, 4, 4]]).all()


def test_what_is_transparent_in_a_video_is_black_and_said(tmp_path: Path) -> None:
    white = np.full((3, 40, 60, 4), 255, np.uint8)
    white[:, :, :20, 3] = 0
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("png", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 40, 60, "rgba"
        for pixels in white:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode(None))
    found = inspect(tmp_path / "a.mov", "decord")
    assert found.probe.decoder == "pyav"
    shown = decode(tmp_path / "a.mov", None, size=(40, 60), decoder="pyav")
    assert (shown == white[..., 3:]).all()
    assert [line.message for line in findings("a", found) if line.kind == "read_as"] == [
        "has an alpha channel (rgba): transparent parts become black, except in a fully transparent frame"
    ]


def test_an_alpha_channel_that_nobody_filled_in_hides_nothing(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("huffyuv", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "bgra"
        for pixels in FRAMES:
            unfilled = np.dstack([pixels[..., ::-1], np.zeros((48, 64), np.uint8)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(unfilled, format="bgra")))
        container.mux(stream.encode(None))
    assert inspect(tmp_path / "a.avi", "decord").probe.decoder == "pyav"
    assert (decode(tmp_path / "a.avi", None, size=(48, 64), decoder="pyav") == FRAMES).all()


SCRIPTS = {
    "an ffconcat script": "ffconcat version 1.0\nfile {name}\n",
    "an ffconcat script after a mark": "\ufeffffconcat version 1.0\nfile {name}\n",
    "an HLS playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "an M3U playlist": "#EXTM3U\n{name}\n",
    "a PLS playlist": "[playlist]\nFile1={name}\nNumberOfEntries=1\nVersion=2\n",
    "an SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "an ASX playlist": '<ASX version="3.0"><Entry><Ref href="{name}"/></Entry></ASX>',
    "a DASH manifest": '<MPD profiles="urn:mpeg:dash:profile:full:2011"><BaseURL>{name}</BaseURL></MPD>',
}


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.ffconcat", "a.sdp"])
def test_a_text_that_names_other_files_is_never_followed(tmp_path: Path, kind: str, name: str) -> None:
    write_clip(tmp_path / "secret.mp4", FRAMES)
    (tmp_path / name).write_text(SCRIPTS[kind].format(name="secret.mp4"), encoding="utf-8")
    assert "a playlist of other files" in refusal(tmp_path / name)


@pytest.mark.parametrize("start", [b"#EXTM3U\nsecret.mp4\n\0", b"ffconcat version 1.0\nfile secret.mp4\n#\0"])
def test_a_playlist_with_a_video_behind_it_is_refused_by_both_decoders(tmp_path: Path, start: bytes) -> None:
    write_clip(tmp_path / "secret.mp4", FRAMES)
    stream = encoded(tmp_path / "plain.ts", "ts", FRAMES).read_bytes()
    (tmp_path / "a.mp4").write_bytes(start + stream)
    assert "not a video but a playlist" in refusal(tmp_path / "a.mp4")
    pytest.importorskip("decord", reason="decord has no wheel for this machine", exc_type=ImportError)
    with pytest.raises(DecodeError, match="not a video but a playlist"):
        open_decord(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "<!DOCTYPE html>\n<html><body>404</body></html>",
            "is not a video but a web page that begins '<!DOCTYPE html>'",
        ),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        ("Access denied\n", "is not a video but a text file that begins 'Access denied'"),
        ("1\n00:00:00,000 --> 00:00:01,000\nhello\n", "is not a video but a text file"),
        ("<svg xmlns='x' width='4' height='4'></svg>", "is not a video but a text file"),
    ],
)
def test_texts_say_what_they_are(tmp_path: Path, text: str, said: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "a.mp4").write_text(text, encoding=encoding)
        assert said in refusal(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif", "webp", "avif"])
def test_a_picture_is_no_video_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(FRAMES[0]).save(tmp_path / f"1.{suffix}")
    (tmp_path / f"1.{suffix}").rename(tmp_path / "a.mp4")
    assert "is not a video but a picture (" in refusal(tmp_path / "a.mp4")


def with_cover(path: Path, *, video: Frames | None) -> Path:
    """A second of sound, and a cover picture; with `video` also a moving picture behind it."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        assert isinstance(sound, av.AudioStream)
        parts = [(FRAMES[:1], "mjpeg", "yuvj420p", Disposition.attached_pic)]
        if video is not None:
            parts.append((video, "mpeg4", "yuv420p", Disposition.default))
        streams = []
        for frames, codec, pix_fmt, disposition in parts:
            stream = container.add_stream(codec, rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt, stream.disposition = pix_fmt, disposition
            streams.append((stream, frames))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
        for stream, frames in streams:
            for pixels in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
    return path


def test_sound_with_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = with_cover(tmp_path / "a.mp4", video=None)
    assert refusal(path) == "has no video stream, only audio and a cover picture"


def test_a_video_with_a_cover_picture_shows_the_video(tmp_path: Path) -> None:
    found = inspect(with_cover(tmp_path / "a.mp4", video=moving_square(9, 32, 48)), "decord")
    assert (found.probe.num_frames, found.probe.height, found.probe.width) == (9, 32, 48)
    assert found.remarks == ()


@pytest.mark.parametrize(("suffix", "default"), [("mkv", 1), ("mp4", 1), ("mkv", 0), ("avi", None)])
def test_of_two_video_streams_the_default_is_read_and_said(
    tmp_path: Path, suffix: str, default: int | None
) -> None:
    parts = (moving_square(9, 32, 48), moving_square(12, 48, 64))
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        streams = []
        for number, frames in enumerate(parts):
            stream = container.add_stream("mpeg4", rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
            stream.disposition = Disposition.default if number == default else Disposition(0)
            streams.append(stream)
        for stream, frames in zip(streams, parts, strict=True):
            for pixels in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
    found = inspect(path, "decord")
    number = default or 0
    assert found.probe.decoder == "pyav"
    assert (found.probe.num_frames, found.probe.height) == parts[number].shape[:2]
    said = f"has 2 video streams: stream {number} is read, not {1 - number}"
    assert said in found.remarks
    assert said in read_header(path).remarks


NAMES = (
    "img%03d.png", "img%03d.mp4", "*.mp4", "concat:a.mp4|b.mp4", "http:a.mp4", "file:a.mp4", "pipe:0.mp4",
    "subfile,,start,0,end,9,,:a.mp4", "-i.mp4", "- .mp4", "data:video,a.mp4", "lavfi:testsrc.mp4", "a?b#c.mp4",
    "[x].mp4", "tcp:a.mp4", "@list.mp4",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_names_mean_nothing_but_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, decoder: Literal["pyav", "decord"]
) -> None:
    monkeypatch.chdir(tmp_path)
    for other in ("img001.png", "img002.png"):
        Image.fromarray(FRAMES[0]).save(other)
    write_clip(Path("a.mp4"), moving_square(5, 48, 64))
    written = write_clip(tmp_path / "real.mp4", FRAMES)
    path = written.rename(tmp_path / name).relative_to(tmp_path)
    if name == "img%03d.png":  # FFmpeg believes such an ending: refused is right, other frames are not
        with pytest.raises(DecodeError, match="its format is none of MP4"):
            inspect(path, decoder)
    else:
        assert inspect(path, decoder).probe.num_frames == len(FRAMES)


@pytest.mark.parametrize("asked", ["pyav", "decord"])
def test_a_script_in_train_never_shows_a_test_video(tmp_path: Path, asked: Literal["pyav", "decord"]) -> None:
    write_clip(tmp_path / "test" / "sealed.mp4", FRAMES)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.mp4").write_text("ffconcat version 1.0\nfile ../test/sealed.mp4\n")
    training = [video(write_clip(tmp_path / "train" / "b.mp4", FRAMES)), video(tmp_path / "train" / "a.mp4")]
    with pytest.raises(VidclsError, match=r"a\.mp4: is not a video but a playlist"):
        open_cpu(training, tmp_path / "store", data={"decoder": asked})


def test_a_reference_movie_does_not_show_another_file(tmp_path: Path) -> None:
    other = write_clip(tmp_path / "secret.mov", FRAMES)
    path = refer_to(write_clip(tmp_path / "a.mov", moving_square(12, 48, 64, seed=9)), other)
    with pytest.raises(DecodeError, match="has no frame that can be decoded"):
        inspect(path, "decord")
