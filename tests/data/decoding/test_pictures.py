"""A picture of any depth, mode and orientation is shown as a viewer shows it, and what was done is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.video import Frames, moving_square, write_frames
from vidcls.data.checks.findings import findings
from vidcls.data.checks.inspect import inspect
from vidcls.data.decoding.decode import decode
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.scan import read_header

HEIGHT, WIDTH = 20, 30
RAMP = np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
GREY = np.repeat(RAMP.astype(np.uint8)[..., None], 3, axis=-1)
COLOUR = moving_square(1, HEIGHT, WIDTH)[0]
DEEP = (RAMP * 257).astype(np.uint16)


def shown(folder: Path) -> Frames:
    probe = inspect(folder, "pyav").probe
    return decode(folder, None, size=(probe.height, probe.width), decoder=probe.decoder)


def said_of(folder: Path) -> list[str]:
    return [f"{found.kind}: {found.message}" for found in findings("v", inspect(folder, "pyav"))]


def as_tiff(pixels: np.ndarray, *, white_is_zero: bool = False) -> Callable[[Path], None]:
    tags = {262: 0} if white_is_zero else {}
    return lambda folder: Image.fromarray(pixels).save(folder / "1.tif", tiffinfo=tags)


def in_mode(mode: str, suffix: str = "png") -> Callable[[Path], None]:
    return lambda folder: Image.fromarray(GREY[..., 0]).convert(mode).save(folder / f"1.{suffix}")


def deep_colour(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        assert cv2.imwrite(str(folder / f"1.{suffix}"), np.stack([DEEP] * 3, axis=-1))

    return write


def twelve_bits(folder: Path) -> None:
    """A grey TIFF of 12 bits, which Pillow reads and does not write: a header, 11 tags, packed pixels."""
    values = (DEEP.ravel() >> 4).astype(np.uint16)
    first, second = values[::2], values[1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8)
    tags = {256: WIDTH, 257: HEIGHT, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: HEIGHT, 279: packed.size}
    content = b"II*\0" + (8 + packed.size).to_bytes(4, "little") + packed.tobytes()
    content += len(tags).to_bytes(2, "little")
    for tag, value in tags.items():
        numbers = ((tag, 2), (4, 2), (1, 4), (value, 4))
        content += b"".join(number.to_bytes(size, "little") for number, size in numbers)
    (folder / "1.tif").write_bytes(content + bytes(4))


SAME_BRIGHTNESS: dict[str, Callable[[Path], None]] = {
    "16-bit PNG": lambda folder: Image.fromarray(DEEP).save(folder / "1.png"),
    "16-bit TIFF": as_tiff(DEEP),
    "16-bit TIFF whose white is 0": as_tiff(65535 - DEEP, white_is_zero=True),
    "16-bit TIFF, big end first": as_tiff(DEEP.astype(">u2")),
    "12-bit TIFF": twelve_bits,
    "8-bit TIFF whose white is 0": as_tiff(GREY[..., 0], white_is_zero=True),
    "16-bit colour PNG": deep_colour("png"),
    "16-bit colour TIFF": deep_colour("tif"),
    "L": in_mode("L"),
    "LA": in_mode("LA"),
    "RGBA": in_mode("RGBA"),
    "P": in_mode("P"),
    "CMYK": in_mode("CMYK", "tif"),
}


@pytest.mark.parametrize("form", SAME_BRIGHTNESS)
def test_a_grey_ramp_keeps_its_brightness_in_every_form(tmp_path: Path, form: str) -> None:
    SAME_BRIGHTNESS[form](tmp_path)
    assert np.abs(shown(tmp_path)[0].astype(int) - GREY).max() <= 1
    is_deep = form.startswith(("16", "12"))
    expected = (
        [f"read_as: 1 of 1 pictures: reduced from {form[:2]} bits per channel to the upper 8 bits"]
        if is_deep
        else []
    )
    assert [line for line in said_of(tmp_path) if line.startswith("read_as")] == expected
    assert len(read_header(tmp_path).remarks) == is_deep


def test_black_and_white_of_one_bit(tmp_path: Path) -> None:
    pixels = RAMP > 100
    Image.fromarray(pixels).save(tmp_path / "1.png")
    assert (shown(tmp_path)[0] == 255 * pixels[..., None]).all()


@pytest.mark.parametrize(
    "pixels",
    [RAMP.astype(np.float32) / 255, RAMP.astype(np.int32), DEEP.astype(np.int32)],
    ids=["floats", "32 bits", "16 bits in 32"],
)
def test_numbers_without_a_range_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    as_tiff(pixels)(tmp_path)
    with pytest.raises(DecodeError, match=r"1\.tif contains .* does not say which number is black"):
        inspect(tmp_path, "pyav")
    with pytest.raises(DecodeError, match=r"1\.tif"):
        read_header(tmp_path)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_black_whatever_colour_lies_under_it(tmp_path: Path, mode: str) -> None:
    alpha = np.where(np.arange(WIDTH) < 10, 0, 255).astype(np.uint8)[None].repeat(HEIGHT, axis=0)
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    image = Image.fromarray(np.dstack([white, alpha]))
    if mode == "P":
        indexed = Image.fromarray((alpha > 0).astype(np.uint8)).convert("P")
        indexed.putpalette([255, 255, 255, 255, 255, 255])
        indexed.save(tmp_path / "1.png", transparency=0)
    else:
        image.convert(mode).save(tmp_path / "1.png")
    assert (shown(tmp_path)[0] == alpha[..., None]).all()
    assert said_of(tmp_path)[-1].endswith("transparent parts become black")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize(
    ("tag", "upright"),
    [
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_pictures_are_turned_as_their_exif_tag_says(
    tmp_path: Path, suffix: str, tag: int, upright: Callable[[np.ndarray], np.ndarray]
) -> None:
    for name, is_tagged in (("plain", False), ("tagged", True)):
        exif = Image.Exif()
        exif[0x0112] = tag if is_tagged else 1
        (tmp_path / name).mkdir()
        options = {"quality": 95} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
        Image.fromarray(COLOUR).save(tmp_path / name / f"1.{suffix}", exif=exif, **options)
    assert (shown(tmp_path / "tagged")[0] == upright(shown(tmp_path / "plain")[0])).all()
    assert any(line.startswith("read_as: 1 of 1") for line in said_of(tmp_path / "tagged")) == (tag != 1)


def test_pictures_that_are_turned_in_several_ways_are_counted(tmp_path: Path) -> None:
    write_frames(tmp_path, moving_square(5, HEIGHT, WIDTH))
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in (2, 3):
        Image.fromarray(COLOUR).save(tmp_path / f"frame_{number}.png", exif=exif)
    said = said_of(tmp_path)
    assert "read_as: 2 of 5 pictures: turned by 270 degrees anticlockwise" in said
    assert "changes_size: 2 of 5 frames have another size than the first frame" in said


def test_a_frame_that_holds_several_pictures_is_said(tmp_path: Path) -> None:
    pages = [Image.fromarray(frame) for frame in moving_square(3, HEIGHT, WIDTH)]
    pages[0].save(tmp_path / "1.tif", save_all=True, append_images=pages[1:])
    assert (shown(tmp_path)[0] == np.asarray(pages[0])).all()
    assert "read_as: 1 of 1 pictures: only the first of 3 pictures in the file is used" in said_of(tmp_path)
