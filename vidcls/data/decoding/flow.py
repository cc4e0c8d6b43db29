"""Optical flow from two frames or from files. Runs in worker processes, so it must not import torch.

Field k of a video is its motion from frame k to frame k + 1: a point at (x, y) in frame k is at (x + u, y +
v) in the next frame. It is computed on grey frames at the resolution of the file, then resized, with u and v
in pixels of the new size. It is stored as bytes:

    value = 128 + round(u / STEP_PX), from 1 to 255

so that a flip, which negates u, is exact; 0 is never used. Motion above 15.9 px of the stored size saturates.
On 60 videos of UCF101 at 112 px, where the standard deviations of u and v are 0.3 and 0.7 px, rounding costs
0.03 px (RMS), and one pixel in a million saturates between neighbouring frames (99.9 % are slower than 7 px);
between ten frames spread over a whole video, as in the course, 0.4 % do.

Precomputed fields are read from a folder:

    flow_1_2.npy, flow_2_3.npy, ...         the course: floats (2, H, W) in pixels
    flow_x_00001.jpg, flow_y_00001.jpg      TSN and mmaction: grey levels of u and of v

The pictures are in the format of dense_flow, which writes the level round(255 (u + 20) / 40), clipped to 0 to
255, for a bound of 20 px (`convertFlowToImage` in its common.cpp; TSN, arXiv:1608.00859, and mmaction use
this bound, which no file records). No motion gives level 128, which TSN reads as zero. vidcls does the same:
u = (level - 128) 40 / 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidcls.choices import FlowMethod
from vidcls.data.decoding.decode import Probe, frames_at
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.frame_folders import look_into
from vidcls.data.decoding.pictures import Pixels

Field = NDArray[np.float32]
"""`[H, W, 2]`: u to the right and v downwards, in pixels."""

STEP_PX = 1 / 8
STILL = 128
"""Byte value for no motion."""
PICTURE_BOUND_PX = 20
"""Motion in pixels at the highest level of a `flow_x` or `flow_y` picture."""
_REACH = 127
_SMALLEST_PX = 32  # DIS needs some pixels for its image pyramid


def compute_fields(
    path: Path, indices: Sequence[int] | None, *, size: tuple[int, int], probe: Probe, method: FlowMethod
) -> Pixels:
    """Compute flow fields of a video as bytes, `[n, H, W, 2]`.

    Args:
        path: Video file, or folder of frames.
        indices: Field indices, repeats allowed; None for all fields.
        size: Height and width of the result, in pixels.
        probe: Probe of the file.
        method: `dis` (Kroeger et al. 2016, arXiv:1603.03590) or `farneback` (Farneback 2003).

    Raises:
        DecodeError: If a frame is missing or cannot be decoded.
    """
    chosen = range(probe.num_frames - 1) if indices is None else indices
    moments = set(chosen)
    wanted = moments | {k + 1 for k in moments}
    fields: dict[int, Pixels] = {}
    last, before = -2, np.empty((0, 0), np.uint8)
    for index, frame in frames_at(path, wanted, decoder=probe.decoder, seek_points=probe.seek_points):
        after = brightness(frame)
        if last == index - 1 and last in moments:
            fields[last] = quantised(resized(flow(before, after, method), size))
        last, before = index, after
    return _stacked(fields, chosen)


def brightness(frame: Pixels) -> Pixels:
    """Largest of the three channels of a frame `[H, W, 3]`: the value of HSV, `[H, W]`.

    It shows strong colours clearly that luma, a weighted mean, hardly separates from grey. So the flow is
    more accurate (error on the objects of motion10 is 6 degrees, not 10), and depends less on the object's
    colour.
    """
    red, green, blue = cv2.split(frame)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def flow(before: Pixels, after: Pixels, method: FlowMethod) -> Field:
    """Motion from one grey frame `[H, W]` to the next, which is resized if its size differs."""
    height, width = before.shape
    factor = max(1, -(-_SMALLEST_PX // min(height, width)))
    if factor > 1 or after.shape != before.shape:
        size = (height * factor, width * factor)
        large = [np.asarray(cv2.resize(frame, size[::-1]), np.uint8) for frame in (before, after)]
        return resized(flow(large[0], large[1], method), (height, width))
    if method == "farneback":
        found = cv2.calcOpticalFlowFarneback(
            before, after, np.empty((0,), np.float32), pyr_scale=0.5, levels=4, winsize=13, iterations=5,
            poly_n=5, poly_sigma=1.1, flags=0,
        )  # fmt: skip
        return np.asarray(found, np.float32)
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # Blur reduces noise and compression blocks: the error on known warps of UCF101 is 0.36 px, not 0.43.
    first, second = (np.asarray(cv2.GaussianBlur(frame, (0, 0), 1.0), np.uint8) for frame in (before, after))
    return np.asarray(estimator.calc(first, second, np.empty((0,), np.float32)), np.float32)


def resized(field: Field, size: tuple[int, int]) -> Field:
    """Resize `[h, w, 2]` to `size` `(H, W)`, u and v in pixels of the new size."""
    height, width = field.shape[:2]
    if (height, width) == size:
        return field
    shrinks = size[0] <= height and size[1] <= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    made = cv2.resize(field, (size[1], size[0]), interpolation=how)
    return np.asarray(made * np.array([size[1] / width, size[0] / height]), np.float32)


def quantised(field: Field) -> Pixels:
    """Field as bytes; motion beyond their range saturates."""
    steps = np.rint(field / STEP_PX).clip(-_REACH, _REACH) + STILL
    return np.asarray(steps, np.uint8)


def probe_fields(folder: Path) -> tuple[int, int, int]:
    """Read all fields of a folder; return their number, height and width.

    Raises:
        DecodeError: If there is no field, or a field is missing, invalid, or differs in size from the first.
    """
    shape: tuple[int, ...] = ()
    num_fields = 0
    for files in _field_files(folder):
        field = _load(files)
        shape = shape or field.shape
        if field.shape != shape:
            raise DecodeError(f"field {num_fields + 1} is {field.shape[:2]} and the first one {shape[:2]}")
        num_fields += 1
    return num_fields, shape[0], shape[1]


def read_fields(folder: Path, indices: Sequence[int] | None, *, size: tuple[int, int]) -> Pixels:
    """Read flow fields of a folder as bytes, `[n, H, W, 2]`.

    Args:
        folder: Folder with `flow_1_2.npy` etc., or with `flow_x_00001.jpg`, `flow_y_00001.jpg` etc.
        indices: Field indices, repeats allowed; None for all fields.
        size: Height and width of the result, in pixels.

    Raises:
        DecodeError: If a field cannot be read.
    """
    fields = _field_files(folder)
    chosen = range(len(fields)) if indices is None else indices
    wanted = set(chosen)
    found = {k: quantised(resized(_load(files), size)) for k, files in enumerate(fields) if k in wanted}
    return _stacked(found, chosen)


def _stacked(fields: dict[int, Pixels], indices: Sequence[int]) -> Pixels:
    missing = sorted(set(indices).difference(fields))
    if missing or not fields:
        raise DecodeError(f"ends before flow field {missing[0] if missing else 0}, which was there before")
    return np.stack([fields[index] for index in indices])


def _field_files(folder: Path) -> tuple[tuple[Path, ...], ...]:
    found = look_into(folder)
    if (problem := found.problem(of_fields=True)) is not None:
        raise DecodeError(problem)
    if not found.fields:
        raise DecodeError("contains no flow fields")
    return found.fields


def _load(files: tuple[Path, ...]) -> Field:
    if len(files) == 1:
        return _stored(files[0])
    u, v = (_component(file) for file in files)
    if u.shape != v.shape:
        raise DecodeError(f"{files[0].name} is {u.shape} and {files[1].name} {v.shape}")
    return np.stack([u, v], axis=-1)


def _component(file: Path) -> NDArray[np.float32]:
    """Read a picture of u or v as `[H, W]` in pixels."""
    try:
        with Image.open(file) as image:
            levels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DecodeError(f"{file.name} cannot be read: {error}") from None
    if image.mode not in ("L", "RGB"):
        raise DecodeError(f"{file.name} is a picture of mode {image.mode}, not of 8-bit grey levels")
    if levels.ndim == 3:  # some programs write three equal grey channels
        if (levels != levels[..., :1]).any():
            raise DecodeError(f"{file.name} is a colour picture, not one component (grey levels) of flow")
        levels = levels[..., 0]
    return (levels.astype(np.float32) - STILL) * np.float32(2 * PICTURE_BOUND_PX / 255)


def _stored(file: Path) -> Field:
    try:
        field = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DecodeError(f"{file.name} cannot be read: {error}") from None
    is_field = field.ndim == 3 and field.shape[0] == 2 and field.size
    if not is_field or not np.issubdtype(field.dtype, np.floating):
        raise DecodeError(
            f"{file.name} contains {field.dtype} {field.shape}, but floats (2, H, W) are expected"
        )
    if not np.isfinite(field).all():
        raise DecodeError(f"{file.name} contains numbers that are not finite")
    return np.ascontiguousarray(field.transpose(1, 2, 0), dtype=np.float32)
