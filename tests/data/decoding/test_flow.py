"""Optical flow against known motion, and against flow of frames that were transformed first."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.support.video import write_clip, write_frames
from vidcls.data.decoding.decode import Probe, decode
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.flow import (
    STEP_PX,
    STILL,
    Field,
    brightness,
    compute_fields,
    flow,
    quantised,
    resized,
)
from vidcls.data.decoding.pictures import Pixels

METHODS: tuple[Literal["dis", "farneback"], ...] = ("dis", "farneback")
SIZE = (72, 96)  # of the demo data


def in_pixels(stored: Pixels) -> Field:
    return (stored.astype(np.float32) - STILL) * np.float32(STEP_PX)


def angular_error(field: Field, truth: Field) -> float:
    """Mean angle in degrees between (u, v, 1) and the truth (Barron et al. 1994)."""
    product = (field * truth).sum(-1) + 1
    lengths = np.sqrt(((field**2).sum(-1) + 1) * ((truth**2).sum(-1) + 1))
    return float(np.degrees(np.arccos(np.clip(product / lengths, -1, 1))).mean())


def things(demo: Path) -> dict[str, list[tuple[float, ...]]]:
    """Of each video and frame: place and step of the thing, in pixels."""
    found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    with (demo / "motion.csv").open() as file:
        for row in csv.DictReader(file):
            found[row["video_name"]].append(
                tuple(float(row[key]) for key in ("x_px", "y_px", "dx_px", "dy_px"))
            )
    return found


def core(x: float, y: float, *, reach_px: float) -> np.ndarray:
    """Where the thing at `(x, y)`, wrapped round the edges, surely is: a diamond, `[H, W]`."""
    height, width = SIZE
    across = (np.arange(width) - x + width / 2) % width - width / 2
    along = ((np.arange(height) - y + height / 2) % height - height / 2)[:, None]
    return np.abs(across) + np.abs(along) <= reach_px


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [SIZE, (48, 64)])
def test_agrees_with_the_true_motion(
    demo: Path, method: Literal["dis", "farneback"], size: tuple[int, int]
) -> None:
    """As stored, on the thing, which alone has texture that moves."""
    errors = []
    for name, places in things(demo).items():
        if "Still" in name:
            continue
        (path,) = demo.glob(f"videos/*/*/{name}.avi")
        asked = [2, 9, 16]
        stored = compute_fields(path, asked, size=size, probe=Probe(24, *SIZE, 25.0, "pyav"), method=method)
        assert stored.shape == (3, *size, 2)
        for field, k in zip(in_pixels(stored), asked, strict=True):
            x, y, dx, dy = places[k]
            inside = (
                cv2.resize(core(x, y, reach_px=9).astype(np.uint8), size[::-1], interpolation=cv2.INTER_AREA)
                > 0
            )
            truth = np.array([dx * size[1] / SIZE[1], dy * size[0] / SIZE[0]], np.float32)
            errors.append(angular_error(field[inside], truth))
    assert len(errors) == 144
    assert np.mean(errors) < 10


def moving_texture(height: int, width: int, *, shift: tuple[float, float], seed: int = 0) -> list[Pixels]:
    """Two frames `[H, W, 3]` of a smooth texture that moves by `shift` `(u, v)` as a whole."""
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0, 255, (height + 40, width + 40, 3)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    frames = []
    for u, v in ((0.0, 0.0), shift):
        move = np.array([[1, 0, u - 20], [0, 1, v - 20]])
        frames.append(cv2.warpAffine(texture, move, (width, height)).round().astype(np.uint8))
    return frames


def flow_of(frames: list[Pixels], method: Literal["dis", "farneback"]) -> Field:
    return flow(*(brightness(frame) for frame in frames), method)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_done_to_flow_is_what_flow_of_transformed_frames_is(
    method: Literal["dis", "farneback"],
) -> None:
    frames = moving_texture(96, 128, shift=(2.5, -1.5))
    field = flow_of(frames, method)
    inner = (slice(10, -10), slice(10, -10))  # what enters at the edge was nowhere before

    def close(ours: Field, recomputed: Field) -> bool:
        return bool(np.abs(ours - recomputed)[inner].mean() < 0.15)

    assert close(field, np.full_like(field, (2.5, -1.5)))
    mirrored = field[:, ::-1] * np.array([-1, 1], np.float32)
    assert close(mirrored, flow_of([frame[:, ::-1].copy() for frame in frames], method))
    assert not close(field[:, ::-1], flow_of([frame[:, ::-1].copy() for frame in frames], method))
    cropped = field[16:80, 30:110]
    assert close(cropped, flow_of([frame[16:80, 30:110].copy() for frame in frames], method))
    for size in ((48, 96), (144, 160)):
        smaller = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in frames]
        assert close(resized(field, size), flow_of(smaller, method))


@pytest.mark.parametrize("path", ["a.mp4", "frames"])
def test_field_k_leads_from_frame_k_to_the_next(tmp_path: Path, path: str) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (7, 40, 48, 3), dtype=np.uint8)
    is_file = path.endswith("mp4")
    made = write_clip(tmp_path / path, frames) if is_file else write_frames(tmp_path / path, frames)
    decoder: Literal["pyav", "images"] = "pyav" if is_file else "images"
    probe = Probe(7, 40, 48, None, decoder)
    seen = decode(made, None, size=(40, 48), decoder=decoder)
    expected = [quantised(flow_of([seen[k], seen[k + 1]], "dis")) for k in range(6)]
    every = compute_fields(made, None, size=(40, 48), probe=probe, method="dis")
    some = compute_fields(made, [5, 1, 1], size=(40, 48), probe=probe, method="dis")
    assert (every == np.stack(expected)).all()
    assert (some == every[[5, 1, 1]]).all()
    with pytest.raises(DecodeError, match="ends before"):
        compute_fields(made, [6], size=(40, 48), probe=probe, method="dis")


@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 99))
def test_frames_of_any_size_have_flow(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 256, (2, height, width), dtype=np.uint8)
    for method in METHODS:
        field = flow(before, after, method)
        assert field.shape == (height, width, 2)
        assert field.dtype == np.float32
        assert np.isfinite(field).all()
    # A folder of images may change its size halfway.
    assert flow(before, np.tile(after, (2, 1)), "dis").shape == (height, width, 2)


fields = arrays(np.float32, (3, 4, 2), elements=st.floats(-40, 40, width=32))


@given(fields)
def test_bytes_keep_a_field_to_half_a_step_and_mirror_exactly(field: Field) -> None:
    stored = quantised(field)
    reach = 127 * STEP_PX
    assert np.abs(in_pixels(stored) - field.clip(-reach, reach)).max() <= STEP_PX / 2
    assert stored.min() >= 1
    assert (quantised(-field) == np.negative(stored)).all()
    assert (quantised(in_pixels(stored)) == stored).all()


@given(
    st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_a_resize_scales_both_components(
    motion: tuple[float, float], before: tuple[int, int], after: tuple[int, int]
) -> None:
    field = np.full((*before, 2), motion, np.float32)
    expected = np.array(motion) * np.array([after[1] / before[1], after[0] / before[0]])
    assert np.allclose(resized(field, after), expected, rtol=1e-4, atol=1e-5)
