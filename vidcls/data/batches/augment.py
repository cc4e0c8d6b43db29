"""Augmentation of a clip: crop window of its frames, horizontal flip, and the label of a flipped clip.

The draws come from a generator keyed by the clip, so they depend neither on its batch nor on the order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidcls.errors import UserError
from vidcls.spec.sections import AugmentSection, Clip

_SCALE = (0.5, 1.0)
_RATIO = (0.75, 4 / 3)
_TRIES = 10


@dataclass(frozen=True)
class View:
    """Window and flip of the frames of one clip, in stored pixels.

    Attributes:
        top: First row of the window.
        left: First column of the window.
        height: Rows of the window.
        width: Columns of the window.
        flip: Whether the window is mirrored left to right.
    """

    top: int
    left: int
    height: int
    width: int
    flip: bool = False


def eval_view(stored: tuple[int, int], clip: Clip) -> View:
    """View for evaluation: the whole squeezed frame, or the centre of a frame that kept its aspect ratio.

    Args:
        stored: Height and width of the stored frames.
        clip: Size of the window.
    """
    height, width = clip.size
    return View((stored[0] - height) // 2, (stored[1] - width) // 2, height, width)


def train_view(
    stored: tuple[int, int], clip: Clip, *, augment: AugmentSection, rng: np.random.Generator
) -> View:
    """Draw the view of one clip in training.

    Args:
        stored: Height and width of the stored frames.
        clip: Size of the window.
        augment: Augmentations that may be applied.
        rng: Random generator of this clip.
    """
    flip = bool(rng.random() < augment.flip)
    match augment.crop:
        case "none":
            window = eval_view(stored, clip)
        case "random":
            height, width = clip.size
            top = int(rng.integers(stored[0] - height + 1))
            window = View(top, int(rng.integers(stored[1] - width + 1)), height, width)
        case "random_resized":
            window = _resized_window(stored, clip, augment=augment, rng=rng)
    return View(window.top, window.left, window.height, window.width, flip)


def _resized_window(
    stored: tuple[int, int], clip: Clip, *, augment: AugmentSection, rng: np.random.Generator
) -> View:
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
            return View(top, int(rng.integers(stored[1] - width + 1)), height, width)
    ratio = min(max(stored[1] / stored[0], aspect * ratios[0]), aspect * ratios[1])
    height, width = min(stored[0], round(stored[1] / ratio)), min(stored[1], round(stored[0] * ratio))
    return View((stored[0] - height) // 2, (stored[1] - width) // 2, height, width)


def flip_map(
    augment: AugmentSection, *, flip_labels: Mapping[str, str] | None, classes: Sequence[str]
) -> tuple[int, ...]:
    """Label of a mirrored clip, for each label.

    Args:
        augment: Augment section with the probability of a flip.
        flip_labels: `data.flip_labels`.
        classes: Class names by label.

    Raises:
        UserError: If a flip would change the label of a class and the data does not give the new label, or
            if `flip_labels` has no effect, names an unknown class, or is not symmetric.
    """
    unchanged = tuple(range(len(classes)))
    if augment.flip == 0:
        if flip_labels is not None:
            raise UserError(
                "data.flip_labels: has no effect under augment.flip: 0",
                hint="set augment.flip=0.5, or leave data.flip_labels out",
            )
        return unchanged
    if flip_labels is None:
        _refuse_sided(classes)
        return unchanged
    named = {*flip_labels, *flip_labels.values()}
    unknown = sorted(named.difference(classes))
    if unknown:
        raise UserError(
            f"data.flip_labels: no such class: {', '.join(unknown)}", hint=f"classes: {', '.join(classes)}"
        )
    one_way = [f"{name}: {other}" for name, other in flip_labels.items() if flip_labels.get(other) != name]
    if one_way:
        raise UserError(
            f"data.flip_labels: a mirror works both ways, but these do not: {', '.join(one_way)}",
            hint="write {left: right, right: left}",
        )
    return tuple(classes.index(flip_labels.get(name, name)) for name in classes)


def _refuse_sided(classes: Sequence[str]) -> None:
    sided = {name: mirrored for name in classes if (mirrored := _mirrored(name)) != name}
    if not sided:
        return
    pairs = {name: other if other in classes else name for name, other in sided.items()}
    written = ", ".join(f"{name}: {other}" for name, other in pairs.items())
    raise UserError(
        f"augment.flip: a left-right mirror would change the label of {', '.join(sided)}",
        hint=f"set augment.flip=0, or say what a mirror makes of them: data.flip_labels: {{{written}}}",
    )


def _mirrored(name: str) -> str:
    """Class name with the words left and right exchanged, in snake_case, kebab-case and CamelCase."""
    other = {"left": "right", "right": "left"}

    def swap(match: re.Match[str]) -> str:
        word = match[0]
        swapped = other.get(word.lower())
        if swapped is None:
            return word
        return swapped.upper() if word.isupper() else swapped.title() if word[0].isupper() else swapped

    return re.sub(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", swap, name)
