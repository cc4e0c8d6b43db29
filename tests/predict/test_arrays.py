"""Frames in memory are predicted as a video file with these frames is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vidcls
from tests.support.encodings import Encoding, truth
from tests.support.video import moving_square
from vidcls.errors import UserError

pytestmark = pytest.mark.long

FRAMES = moving_square(13, 48, 64, seed=1)


@pytest.mark.parametrize("modality", ["rgb", "flow", "difference", "rgb+flow"])
def test_an_array_gives_the_logits_of_its_file(
    run_of: Callable[[str], Path], tmp_path: Path, modality: str
) -> None:
    """To the bit where the file keeps the frames as they are."""
    path = Encoding("ffv1", "mkv", pix_fmt="bgr0").write(tmp_path / "lossless", FRAMES)
    np.testing.assert_array_equal(truth(path), FRAMES)
    predictor = vidcls.load(run_of(modality))
    (of_file,) = predictor.predict(path)
    (of_array,) = predictor.predict(FRAMES)
    assert of_file.logits is not None
    assert of_array.logits is not None
    np.testing.assert_array_equal(of_array.logits, of_file.logits)
    assert of_array.classes == of_file.classes
    assert (of_array.path, of_array.name, of_array.error) == (None, "array", None)


def test_arrays_of_real_videos_are_near_to_their_files(shared: Path, rgb_run: Path) -> None:
    """Not equal: the colours of these files have half the resolution, and are scaled from that."""
    paths = sorted((shared / "ufc10" / "videos" / "val").rglob("*.avi"))[::8]
    predictor = vidcls.load(rgb_run)
    for of_file, of_array in zip(
        predictor.predict(paths), predictor.predict([truth(path) for path in paths]), strict=True
    ):
        assert of_file.logits is not None
        assert of_array.logits is not None
        np.testing.assert_allclose(of_array.logits, of_file.logits, atol=0.2)


def test_paths_and_arrays_are_mixed_in_a_list(rgb_run: Path, demo: Path) -> None:
    files = sorted((demo / "videos" / "val" / "RedUp").iterdir())
    predictor = vidcls.load(rgb_run)
    stages: list[tuple[str, int, int]] = []
    found = predictor.predict(
        [FRAMES, files[0].parent, torch.from_numpy(FRAMES[:5]), str(files[1]), FRAMES[:1]],
        progress=lambda *stage: stages.append(stage),
    )
    assert [each.path for each in found] == [None, *files, None, None]
    alone = [predictor.predict(video)[0] for video in (FRAMES, files[0], files[1], FRAMES[:5], FRAMES[:1])]
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)
    assert stages[-1] == ("score arrays", 3, 3)


@pytest.mark.parametrize(
    ("video", "got", "hint"),
    [
        (FRAMES / np.float32(255), "got float32 [13, 48, 64, 3]", "its values are from 0 to 1"),
        (FRAMES.astype(np.float64), "got float64 [13, 48, 64, 3]", "give frames.round()"),
        (FRAMES.astype(np.float32) / 100 - 1, "got float32", "may be normalised already"),
        (FRAMES.astype(np.uint16), "got uint16", "frames >> 8"),
        (FRAMES.astype(np.int64), "got int64", "frames.astype(np.uint8)"),
        (torch.from_numpy(FRAMES).permute(0, 3, 1, 2), "got uint8 [13, 3, 48, 64]", "np.moveaxis(frames, 1, -1)"),
        (FRAMES.transpose(3, 0, 1, 2), "got uint8 [3, 13, 48, 64]", "np.moveaxis(frames, 0, -1)"),
        (np.concatenate([FRAMES, FRAMES[..., :1]], axis=-1), "got uint8 [13, 48, 64, 4]", "frames[..., :3]"),
        (FRAMES[..., :1], "got uint8 [13, 48, 64, 1]", "np.repeat"),
        (FRAMES[0], "which is one frame", "frame[None]"),
        (FRAMES[..., 0], "got uint8 [13, 48, 64]", "np.stack"),
        (FRAMES[None], "got uint8 [1, 13, 48, 64, 3]", "predict(list(videos))"),
        (FRAMES[:0], "which is empty", "at least one frame"),
        (7, "got int", "np.stack"),
        ([FRAMES[0]], "got list", "np.stack"),
    ],
)  # fmt: skip
def test_what_is_no_video_is_refused_with_what_to_do(rgb_run: Path, video: Any, got: str, hint: str) -> None:
    with pytest.raises(UserError, match="video 1 of 2: expected frames") as refusal:
        vidcls.load(rgb_run).predict([FRAMES, video])
    assert got in refusal.value.message
    assert hint in (refusal.value.hint or "")


def test_motion_needs_two_frames(run_of: Callable[[str], Path]) -> None:
    with pytest.raises(UserError, match=r"has only one frame, but clip\.modality: flow needs two"):
        vidcls.load(run_of("flow")).predict(FRAMES[:1])
