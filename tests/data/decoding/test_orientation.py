"""What a display matrix says is done to frames, to flow and to differences: all eight, by its own formula."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.boxes import ONE, set_matrix
from tests.support.video import Frames, moving_square, write_clip
from tests.support.videos import open_cpu, video
from vidcls.data.checks.decord_proof import AGREE_LEVELS
from vidcls.data.checks.findings import findings
from vidcls.data.checks.inspect import Inspection, inspect
from vidcls.data.checks.selftest import compare
from vidcls.data.decoding.decode import decode
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.flow import STEP_PX, STILL, compute_fields
from vidcls.data.decoding.orientation import Orientation
from vidcls.data.decoding.readers import decord_is_there

DECODERS: tuple[Literal["pyav", "decord"], ...] = ("pyav", "decord")
Abcd = tuple[float, float, float, float]
EIGHT: dict[str, Abcd] = {
    "upright": (1, 0, 0, 1),
    "turned 90": (0, -1, 1, 0),
    "turned 180": (-1, 0, 0, -1),
    "turned 270": (0, 1, -1, 0),
    "mirrored left to right": (-1, 0, 0, 1),
    "mirrored top to bottom": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed along the other diagonal": (0, -1, -1, 0),
}
FRAMES = moving_square(6, 48, 64, dx=3, dy=-2)


def applied(frames: Frames, abcd: Abcd) -> Frames:
    """Each pixel (x, y) of `frames` `[T, H, W, C]` put to (a x + c y, b x + d y)."""
    a, b, c, d = abcd
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    columns, rows = (a * x + c * y).astype(int), (b * x + d * y).astype(int)
    columns, rows = columns - columns.min(), rows - rows.min()
    made = np.zeros((len(frames), rows.max() + 1, columns.max() + 1, frames.shape[3]), np.uint8)
    made[:, rows, columns] = frames
    return made


def lossless(path: Path, frames: Frames = FRAMES) -> Path:
    return write_clip(path, frames, codec="png", pix_fmt="rgb24")


def frames_of(path: Path, found: Inspection) -> Frames:
    probe = found.probe
    return decode(path, None, size=(probe.height, probe.width), decoder=probe.decoder)


@pytest.mark.parametrize("name", EIGHT)
def test_frames_are_shown_as_the_matrix_says(tmp_path: Path, name: str) -> None:
    # Where the picture lies on the canvas changes no pixel: phones write a shift back into view, others none.
    path = set_matrix(lossless(tmp_path / "a.mov"), EIGHT[name], at=(64, -7))
    expected = applied(FRAMES, EIGHT[name])
    found = inspect(path, "pyav")
    assert (found.probe.height, found.probe.width) == expected.shape[1:3]
    assert (frames_of(path, found) == expected).all()
    rotated = [finding.message for finding in findings("a", found) if finding.kind == "rotated"]
    assert len(rotated) == (name != "upright")


@pytest.mark.parametrize("name", EIGHT)
@pytest.mark.parametrize("asked", DECODERS)
def test_whoever_serves_shows_it_as_the_matrix_says(
    tmp_path: Path, name: str, asked: Literal["pyav", "decord"]
) -> None:
    path = set_matrix(write_clip(tmp_path / "a.mp4", FRAMES, options={"crf": "1"}), EIGHT[name])
    plain = write_clip(tmp_path / "plain.mp4", FRAMES, options={"crf": "1"})
    expected = applied(frames_of(plain, inspect(plain, "pyav")), EIGHT[name])
    found = inspect(path, asked)
    shown = frames_of(path, found)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).max() <= AGREE_LEVELS
    assert not (found.is_mirrored and found.probe.decoder == "decord")


def test_decord_never_serves_mirrored_frames_even_where_they_look_the_same(tmp_path: Path) -> None:
    symmetrical = np.full((5, 48, 64, 3), 90, np.uint8)
    path = set_matrix(write_clip(tmp_path / "a.mp4", symmetrical), EIGHT["mirrored left to right"])
    assert inspect(path, "decord").probe.decoder == "pyav"


@pytest.mark.skipif(not decord_is_there(), reason="decord has no wheel for this machine")
def test_the_self_test_of_decoders_tells_that_decord_errs_on_mirrors(tmp_path: Path) -> None:
    path = set_matrix(write_clip(tmp_path / "a.mp4", FRAMES), EIGHT["mirrored left to right"])
    assert compare(path, "pyav random").is_right
    assert not compare(path, "decord in order").is_right


def drift(frames_per_step: tuple[int, int]) -> Frames:
    """A textured picture that moves as a whole by (dx, dy) pixels a frame."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, size=(24, 32), dtype=np.uint8)
    picture = np.kron(coarse, np.ones((4, 4), np.uint8))
    dx, dy = frames_per_step
    moved = [np.roll(picture, (k * dy, k * dx), axis=(0, 1)) for k in range(4)]
    return np.repeat(np.stack(moved)[..., None], 3, axis=-1)


@pytest.mark.parametrize("name", EIGHT)
def test_flow_follows_the_matrix(tmp_path: Path, name: str) -> None:
    u, v = 3, -1
    path = set_matrix(lossless(tmp_path / "a.mov", drift((u, v))), EIGHT[name])
    probe = inspect(path, "pyav").probe
    fields = compute_fields(path, None, size=(probe.height, probe.width), probe=probe, method="dis")
    motion = np.median((fields.astype(float) - STILL) * STEP_PX, axis=(0, 1, 2))
    a, b, c, d = EIGHT[name]
    assert motion == pytest.approx((a * u + c * v, b * u + d * v), abs=0.3)


@pytest.mark.parametrize("modality", ["rgb", "difference"])
def test_batches_of_a_marked_video_are_those_of_one_that_was_drawn_so(tmp_path: Path, modality: str) -> None:
    marked, drawn = [], []
    for number, abcd in enumerate(EIGHT.values()):
        path = set_matrix(lossless(tmp_path / f"marked{number}.mov"), abcd)
        marked.append(video(path, label=number % 6))
        path = lossless(tmp_path / f"drawn{number}.mov", applied(FRAMES, abcd))
        drawn.append(video(path, label=number % 6, name=f"marked{number}"))
    batches: list[NDArray[np.float32]] = []
    for videos, place in ((marked, "a"), (drawn, "b")):
        with open_cpu(videos, tmp_path / place, clip={"modality": modality}) as clips:
            (batch,) = clips.eval_batches(videos, batch_size=8)
            batches.append(batch.clip.numpy())
    level = 1 / 255 / {"rgb": 0.225, "difference": 0.05}[modality]
    # Scaling rounds rows after columns, and a turn exchanges them.
    assert np.abs(batches[0] - batches[1]).max() < 1.01 * level
    assert np.abs(batches[0][0] - batches[0][4]).max() > 0  # a mirror shows


@pytest.mark.parametrize(
    "abcd",
    [(0.7071, 0.7071, -0.7071, 0.7071), (0.9986, 0.0523, -0.0523, 0.9986), (1, 0, 0.5, 1), (0, 0, 0, 1)],
    ids=["45 degrees", "3 degrees", "a slant", "no width"],
)
def test_what_moves_no_whole_pixels_is_refused(tmp_path: Path, abcd: Abcd) -> None:
    path = set_matrix(lossless(tmp_path / "a.mov"), abcd)
    with pytest.raises(DecodeError, match=r"display matrix .* not a turn by a multiple of 90 degrees"):
        inspect(path, "pyav")


@pytest.mark.parametrize("suffix", ["avi", "mkv", "mjpeg"])
@pytest.mark.parametrize(("tag", "name"), [(1, "upright"), (2, "mirrored left to right"), (6, "turned 270")])
def test_the_exif_tag_of_a_motion_jpeg_is_followed(tmp_path: Path, suffix: str, tag: int, name: str) -> None:
    path = tmp_path / f"a.{suffix}"
    drawn = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for number, pixels in enumerate(FRAMES):
            exif, written = Image.Exif(), io.BytesIO()
            exif[0x0112] = tag
            Image.fromarray(pixels).save(written, "JPEG", exif=exif, quality=95)
            drawn.append(np.asarray(Image.open(written)))
            packet = av.Packet(written.getvalue())
            packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 25), 1
            packet.pts = packet.dts = number
            container.mux(packet)
    expected = applied(np.stack(drawn), EIGHT[name])
    for asked in DECODERS:
        shown = frames_of(path, inspect(path, asked))
        assert shown.shape == expected.shape
        assert np.abs(shown.astype(int) - expected).mean() < 4  # two decoders of JPEG


def test_side_data_that_pyav_has_no_name_for_is_no_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mov", FRAMES, codec="tiff", pix_fmt="rgb24")  # its frames hold Exif
    assert (frames_of(path, inspect(path, "pyav")) == FRAMES).all()


def test_a_perspective_is_refused() -> None:
    with pytest.raises(DecodeError, match="display matrix"):
        Orientation.of_matrix([ONE, 0, 1 << 20, 0, ONE, 0, 0, 0, 1 << 30])


def test_rounded_sines_and_sizes_are_quarter_turns() -> None:
    half = ONE // 2
    assert Orientation.of_matrix([6, -65530, 0, 65530, 6, 0, 0, 0, 1 << 30]) == Orientation(1)
    assert Orientation.of_matrix([-half, 0, 0, 0, half, 0, 0, 0, 1 << 30]) == Orientation(0, is_mirrored=True)


@pytest.mark.parametrize(
    ("abcd", "said"),
    [((0, 0, 0, 0), "display matrix is all zeros"), ((2, 0, 0, 1), "2 times as wide as high")],
)
def test_what_is_not_done_is_said(tmp_path: Path, abcd: Abcd, said: str) -> None:
    path = set_matrix(lossless(tmp_path / "a.mov"), abcd)
    found = inspect(path, "pyav")
    assert (frames_of(path, found) == FRAMES).all()
    assert said in str([finding.message for finding in findings("a", found)])
