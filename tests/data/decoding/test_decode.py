from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import psutil
import pytest

from tests.support.video import Frames, moving_square, write_clip, write_frames
from tests.support.videos import read_from
from tests.support.waiting import PATIENCE_S
from vidcls.data.checks.decord_proof import AGREE_LEVELS
from vidcls.data.checks.inspect import inspect
from vidcls.data.checks.probe import probe_files
from vidcls.data.decoding.decode import Form, Probe, decode
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.readers import decord_is_there
from vidcls.data.decoding.workers import Decoders, Failure
from vidcls.data.scan import read_header

needs_decord = pytest.mark.skipif(
    not decord_is_there(), reason="decord has no wheel for this machine: run on x86-64 Linux"
)


def truth(path: Path) -> Frames:
    """Every frame in order, as PyAV gives it, turned as the file says."""
    with av.open(str(path)) as container:
        frames = [(f.to_ndarray(format="rgb24"), f.rotation) for f in container.decode(video=0)]
    return np.stack([np.rot90(pixels, rotation // 90) for pixels, rotation in frames])


def all_frames(path: Path, found: Probe) -> Frames:
    return decode(path, None, size=(found.height, found.width), decoder=found.decoder)


ENCODERS: dict[str, Callable[[Path], Path]] = {
    "h264": lambda d: write_clip(d / "a.mp4", moving_square(23, 48, 64), options={"bf": "3", "g": "12"}),
    "mpeg4": lambda d: write_clip(d / "a.avi", moving_square(23, 48, 64), codec="mpeg4", options={"bf": "2"}),
    "mpeg1": lambda d: write_clip(d / "a.mpg", moving_square(23, 48, 64), codec="mpeg1video"),
    "odd": lambda d: write_clip(d / "a.mkv", moving_square(9, 35, 51), codec="ffv1", pix_fmt="bgr0"),
    "ten_bits": lambda d: write_clip(d / "a.mp4", moving_square(9, 48, 64), pix_fmt="yuv420p10le"),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("asked", ["decord", "pyav"])
def test_every_frame_is_that_of_the_truth(
    tmp_path: Path, encoder: str, asked: Literal["decord", "pyav"]
) -> None:
    path = ENCODERS[encoder](tmp_path)
    expected = truth(path)
    found = inspect(path, asked).probe
    assert (found.num_frames, found.height, found.width) == expected.shape[:3]
    made = all_frames(path, found)
    assert np.abs(made.astype(int) - expected).max() <= AGREE_LEVELS
    some = decode(path, [0, 3, 3, 8], size=(found.height, found.width), decoder=found.decoder)
    assert (some == made[[0, 3, 3, 8]]).all()


@needs_decord
def test_decord_serves_what_it_reads_well(tmp_path: Path) -> None:
    path = ENCODERS["h264"](tmp_path)
    assert inspect(path, "decord").probe == Probe(23, 48, 64, 25.0, "decord", ((0, 0), (12, 0)))
    assert inspect(path, "pyav").probe == Probe(23, 48, 64, 25.0, "pyav")


@needs_decord
def test_decord_reads_in_order_where_its_seeks_are_wrong(tmp_path: Path) -> None:
    """An AVI has no presentation times, so with B-frames its key frames are not where its index says."""
    frames = moving_square(23, 48, 64, dx=5, dy=3)
    path = write_clip(tmp_path / "a.avi", frames, options={"g": "12", "bf": "3", "sc_threshold": "0"})
    found = inspect(path, "decord")
    assert (found.probe.decoder, found.probe.seek_points, found.random_access) == ("decord", (), False)
    made = decode(path, [3, 13, 22], size=(48, 64), decoder="decord", seek_points=found.probe.seek_points)
    assert np.abs(made.astype(int) - truth(path)[[3, 13, 22]]).max() <= AGREE_LEVELS


@needs_decord
@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_decord_at_random_gives_the_frames_that_it_gives_in_order(tmp_path: Path, suffix: str) -> None:
    frames = moving_square(40, 48, 64, dx=3, dy=2)
    codec = "mpeg4" if suffix == "avi" else "libx264"
    path = write_clip(
        tmp_path / f"a.{suffix}", frames, codec=codec, options={"g": "7", "bf": "0", "sc_threshold": "0"}
    )
    found = inspect(path, "decord").probe
    assert found.decoder == "decord"
    assert [index for index, _ in found.seek_points] == list(range(0, 40, 7))
    in_order = decode(path, None, size=(48, 64), decoder="decord")
    for wanted in ([39], [0, 6, 7, 8, 20, 20, 35], [13, 14], list(range(40))):
        at_random = decode(path, wanted, size=(48, 64), decoder="decord", seek_points=found.seek_points)
        assert (at_random == in_order[wanted]).all(), wanted


def test_a_video_is_scaled_by_the_mean_of_areas(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", moving_square(6, 96, 128, dx=5, dy=3))
    expected = truth(path).reshape(6, 48, 2, 64, 2, 3).mean(axis=(2, 4))
    made = decode(path, None, size=(48, 64), decoder="pyav")
    # Brightness and colour are scaled apart, as the video stores them, so edges of colour differ a little.
    assert np.abs(made.mean(axis=3) - expected.mean(axis=3)).mean() < 1.5
    assert np.abs(made - expected).mean() < 3
    enlarged = decode(path, [2], size=(192, 256), decoder="pyav")
    assert np.abs(enlarged.reshape(1, 96, 2, 128, 2, 3).mean(axis=(2, 4)) - truth(path)[[2]]).mean() < 2


def test_frames_of_a_folder_come_in_natural_order(tmp_path: Path) -> None:
    frames = moving_square(11, 20, 30)
    folder = write_frames(tmp_path / "v", frames)
    assert inspect(folder, "decord").probe == Probe(11, 20, 30, None, "images")
    assert (decode(folder, None, size=(20, 30), decoder="images") == frames).all()


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "v", moving_square(3, 20, 30))
    (folder / "frame_2.png").write_bytes((folder / "frame_2.png").read_bytes()[:60])
    with pytest.raises(DecodeError, match=r"frame_2\.png"):
        inspect(folder, "decord")


@pytest.mark.parametrize("content", [b"", b"just some text\n" * 50])
def test_a_file_that_is_no_video(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.avi").write_bytes(content)
    with pytest.raises(DecodeError, match="not a video"):
        inspect(tmp_path / "a.avi", "decord")


@pytest.mark.parametrize(("codec", "suffix"), [("mpeg4", "avi"), ("libx264", "mkv"), ("libx264", "ts")])
def test_a_file_that_was_cut_off_is_served_up_to_there(tmp_path: Path, codec: str, suffix: str) -> None:
    frames = moving_square(40, 96, 128, seed=3, dx=5, dy=3)
    path = write_clip(tmp_path / f"a.{suffix}", frames, codec=codec)
    whole = truth(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    found = inspect(path, "decord").probe
    assert 5 < found.num_frames < 40
    made = all_frames(path, found)
    # The packet that was cut through may still give a frame, of which the lower part is made up.
    assert np.abs(made[:-1].astype(int) - whole[: found.num_frames - 1]).max() <= AGREE_LEVELS


def test_data_behind_a_decode_error_makes_a_file_bad(shared: Path) -> None:
    with pytest.raises(DecodeError, match="decode error after frame 28"):
        inspect(shared / "clips/corrupted.mp4", "decord")


@needs_decord
@pytest.mark.parametrize(
    ("name", "decoder", "num_frames", "height"),
    [
        ("R6llTwEh07w.mp4", "decord", 303, 256),
        ("RATRACE_wave_f_nm_np1_fr_goo_37.avi", "pyav", 72, 240),  # a phantom frame
        ("av1_video.mkv", "pyav", 125, 360),
        ("h264_10bits.mp4", "pyav", 30, 200),
        ("h265_video.mp4", "decord", 10, 128),
        ("unordered.mov", "decord", 4, 50),
        ("v_biking_01_01.mpg", "pyav", 151, 240),  # decord shifts the frames of MPEG-1
        ("video_90.mov", "decord", 3, 568),  # rotated
    ],
)
def test_real_files_are_served_by_who_reads_them_well(
    shared: Path, name: str, decoder: str, num_frames: int, height: int
) -> None:
    path = shared / "clips" / name
    found = inspect(path, "decord").probe
    assert (found.decoder, found.num_frames, found.height) == (decoder, num_frames, height)
    sampled = [0, num_frames // 3, num_frames - 1]
    made = decode(path, sampled, size=(found.height, found.width), decoder=found.decoder)
    assert np.abs(made.astype(int) - truth(path)[sampled]).max() <= AGREE_LEVELS


def test_a_colon_in_a_relative_path_makes_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_clip(tmp_path / "run:1" / "12:30.mp4", moving_square(5, 48, 64)).relative_to(tmp_path)
    assert inspect(path, "pyav").probe.num_frames == 5
    assert read_header(path).num_frames == 5
    if decord_is_there():
        assert inspect(path, "decord").probe.decoder == "decord"


def test_lack_of_memory_is_not_the_fault_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", moving_square(5, 48, 64))

    def no_memory(*_: object, **__: object) -> None:
        raise av.error.MemoryError(12, "Cannot allocate memory")

    monkeypatch.setattr(av, "open", no_memory)
    with pytest.raises(MemoryError):
        inspect(path, "pyav")


def test_forms() -> None:
    assert Form("squeeze", (112, 96)).scaled(240, 320) == (112, 96)
    assert Form("crop", (112, 112)).scaled(240, 320) == (128, 171)
    assert Form("crop", (112, 112)).scaled(320, 240) == (171, 128)
    assert Form("crop", (112, 168)).scaled(240, 320) == (144, 192)
    assert Form("crop", (112, 112)).scaled(10, 10) == (128, 128)


def test_scaling_by_area_when_shrinking(tmp_path: Path) -> None:
    frames = moving_square(2, 40, 60)
    folder = write_frames(tmp_path / "v", frames)
    shrunk = decode(folder, [1], size=(20, 30), decoder="images")[0]
    assert (shrunk == cv2.resize(frames[1], (30, 20), interpolation=cv2.INTER_AREA)).all()
    grown = decode(folder, [1], size=(80, 90), decoder="images")[0]
    assert (grown == cv2.resize(frames[1], (90, 80), interpolation=cv2.INTER_LINEAR)).all()


def test_workers_name_what_killed_them_and_go_on(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.mp4", moving_square(5, 32, 32))
    os.mkfifo(tmp_path / "hangs.avi")  # opening it waits for a writer that never comes
    (tmp_path / "text.avi").write_text("no video")
    files = {"t": tmp_path / "text.avi", "g": good}

    def probe(files: dict[str, Path], decoders: Decoders) -> Mapping[str, Probe | Failure]:
        return probe_files(read_from(files), decoder="pyav", store_dir=tmp_path / "s", decoders=decoders)

    hurried = Decoders(workers=1, timeout_s=1.0)
    try:
        for _ in range(2):  # it goes on, and asks again about what may have been an accident
            assert probe({"f": tmp_path / "hangs.avi"}, hurried) == {
                "f": Failure("took longer than data.timeout_s: 1 s", lasting=False, kind="timeout")
            }
    finally:
        hurried.close()
    decoders = Decoders(workers=2, timeout_s=PATIENCE_S)
    try:
        for _ in range(2):  # the second time from the cache
            found = probe(files, decoders)
            text = found["t"]
            assert isinstance(text, Failure)
            assert text.lasting
            assert found["g"] == Probe(5, 32, 32, 25.0, "pyav")
        crashed = decoders.outcome(decoders.submit(os._exit, 7))
        assert crashed == Failure(
            "the decoder crashed on this file (exit code 7)", lasting=False, kind="crash"
        )
        # Workers start fast because torch stays out of them.
        assert decoders.outcome(decoders.submit(eval, "'torch' in __import__('sys').modules")) is False
    finally:
        decoders.close()


def test_workers_outlive_the_signals_of_a_queue() -> None:
    decoders = Decoders(workers=1, timeout_s=PATIENCE_S)
    try:
        worker = decoders.outcome(decoders.submit(os.getpid))
        server = decoders.outcome(decoders.submit(os.getppid))
        assert isinstance(worker, int)
        assert isinstance(server, int)
        for received in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            os.kill(server, received)
            os.kill(worker, received)
        assert decoders.outcome(decoders.submit(os.getpid)) == worker
    finally:
        decoders.close()
    assert not psutil.pid_exists(worker)
