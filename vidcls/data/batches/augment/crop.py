"""Crop: the window of the stored frames that a clip shows."""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np

from vidcls.data.batches.window import Window, eval_window
from vidcls.spec.sections import AugmentSection, Clip

_SCALE = (0.5, 1.0)
_RATIO = (0.75, 4 / 3)
_TRIES = 10


def draw_window(
    stored: tuple[int, int], clip: Clip, *, augment: AugmentSection, rng: np.random.Generator
) -> Window:
    """Draw the window of one clip in training.

    Args:
        stored: Height and width of the stored frames.
        clip: Size of the window.
        augment: Augmentations that may be applied.
        rng: Random generator of this clip.
    """
    match augment.crop:
        case "none":
            return eval_window(stored, clip)
        case "random":
            height, width = clip.size
            top = int(rng.integers(stored[0] - height + 1))
            return Window(top, int(rng.integers(stored[1] - width + 1)), height, width)
        case "random_resized":
            return _resized_window(stored, clip, augment=augment, rng=rng)
        case _:
            assert_never(augment.crop)


def _resized_window(
    stored: tuple[int, int], clip: Clip, *, augment: AugmentSection, rng: np.random.Generator
) -> Window:
    """Window of random area and aspect ratio (Szegedy et al. 2015, arXiv:1409.4842; torchvision's method)."""
    low, high = augment.scale or _SCALE
    ratios = augment.ratio or _RATIO
    aspect = clip.size[1] / clip.size[0]  # at ratio 1 the resize keeps the proportions of the frame
    area = stored[0] * stored[1]
    for _ in range(_TRIES):
        target = area * rng.uniform(low, high)
        ratio = aspect * math.exp(rng.uniform(math.log(ratios[0]), math.log(ratios[1])))
        width, height = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < height <= stored[0] and 0 < width <= stored[1]:
            top = int(rng.integers(stored[0] - height + 1))
            return Window(top, int(rng.integers(stored[1] - width + 1)), height, width)
    ratio = min(max(stored[1] / stored[0], aspect * ratios[0]), aspect * ratios[1])
    height, width = min(stored[0], round(stored[1] / ratio)), min(stored[1], round(stored[0] * ratio))
    return Window((stored[0] - height) // 2, (stored[1] - width) // 2, height, width)
