from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.video import moving_square, write_frames
from tests.support.videos import open_cpu, video
from vidcls.choices import Modality
from vidcls.evaluate.predictions import Predictions
from vidcls.spec.sections import Clip
from vidcls.training.previews import make_previews


def shown(tmp_path: Path, modality: Modality, frames: np.ndarray) -> np.ndarray:
    """The preview of one video of those frames, `[T, H, W, 3]`."""
    clip = Clip(modality=modality, frames=3, size=(40, 48))
    one = video(write_frames(tmp_path / "v", frames))
    scored = Predictions(
        ids=("v",), labels=np.zeros(1, np.int64), logits=np.array([[1.0, 0.0]], np.float32), classes=("a", "b"),
        split="val", checkpoint="best", epoch=1, manifest_hash="m", groups=("",), views=np.ones(1, np.int64),
    )  # fmt: skip
    with open_cpu([one], tmp_path / "s", clip=clip.model_dump()) as clips:
        (preview,) = make_previews(clips, [one], scored, clip=clip, num=8)
    assert preview.clip.shape == (3, 40, 48, 3)
    assert preview.clip.dtype == np.uint8
    return preview.clip


def test_frames_are_shown_as_they_are(tmp_path: Path) -> None:
    frames = moving_square(3, 40, 48)
    assert np.abs(shown(tmp_path, "rgb", frames).astype(int) - frames).max() <= 1


def test_differences_are_shown_around_grey(tmp_path: Path) -> None:
    frames = moving_square(4, 40, 48).astype(int)
    expected = (frames[1:] - frames[:-1] + 255) / 2
    assert np.abs(shown(tmp_path, "difference", frames.astype(np.uint8)) - expected).max() <= 1


@pytest.mark.parametrize(("dx", "reddish"), [(2, True), (-2, False)])
def test_flow_is_shown_by_hue_and_stillness_is_white(tmp_path: Path, dx: int, reddish: bool) -> None:
    texture = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    moving = np.stack([np.roll(texture[:40, :48], dx * step, axis=1) for step in range(4)])
    middle = shown(tmp_path, "flow", moving)[:, 10:30, 10:38].astype(int).mean(axis=(0, 1, 2))
    assert (middle[0] > middle[2]) == reddish
    still = shown(tmp_path / "still", "flow", moving[[0, 0, 0, 0]])
    assert (still == 255).all()
