"""Shapes of the clips: the same for all items, with the axes [C, T, H, W]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vidcls.data.doctor.draws import Answer
from vidcls.data.doctor.finding import DatasetFinding, named

_CHANNELS = (1, 2, 3, 5, 6)


def check_shapes(answers: Sequence[Answer]) -> Iterator[DatasetFinding]:
    """Find shapes that differ between items, and axes in another order.

    Args:
        answers: Items of all splits.
    """
    shapes = {answer.item: answer.first.shape for answer in answers if answer.first.shape}
    counts = Counter(shapes.values())
    if not counts:
        return
    usual = counts.most_common(1)[0][0]
    if (axes := wrong_axes(usual)) is not None:
        items = [item for item, shape in shapes.items() if shape == usual]
        yield DatasetFinding("shape", f"{named(items)}: the shape {list(usual)} {axes[0]}", axes[1])
    others = [f"{item} {list(shape)}" for item, shape in shapes.items() if shape != usual]
    if others:
        yield DatasetFinding(
            "shape",
            f"the shapes differ: most clips are {list(usual)}, but {named(others)}",
            "take the same number of frames of each video, and resize all to one size",
        )


def describe(answers: Sequence[Answer]) -> Iterator[DatasetFinding]:
    """Say what most clips are, and the settings of a spec that take them.

    Args:
        answers: Items of all splits.
    """
    found = [one.first for one in answers if one.first.problem is None and len(one.first.shape) == 4]
    if not found:
        return
    (dtype, shape), _ = Counter((draw.dtype, draw.shape) for draw in found).most_common(1)[0]
    low, high = min(draw.low for draw in found), max(draw.high for draw in found)
    _, frames, height, width = shape
    yield DatasetFinding(
        "note",
        f"clips are {dtype} {list(shape)} from {low:.3g} to {high:.3g}: clip.frames={frames} "
        f"clip.size=[{height},{width}]",
    )


def wrong_axes(shape: Sequence[int]) -> tuple[str, str] | None:
    """What is wrong with the axes of a shape, and what to write; None if they can be [C, T, H, W]."""
    if len(shape) == 5:
        return "has five axes; expected [C, T, H, W]", "leave the batch axis out: clip[0]"
    if len(shape) != 4:
        return f"has {len(shape)} axes; expected [C, T, H, W]", "write torch.stack(frames, dim=1)"
    first, second, _, last = shape
    if first in _CHANNELS and not (last in (1, 3) and last < min(second, shape[2])):
        return None
    if last in (1, 3):
        return "seems to be [T, H, W, C]; expected [C, T, H, W]", "write clip.permute(3, 0, 1, 2)"
    if second in _CHANNELS:
        return "seems to be [T, C, H, W]; expected [C, T, H, W]", "write clip.permute(1, 0, 2, 3)"
    return (
        f"has {first} channels; expected [C, T, H, W] with 3 for RGB or 2 for flow",
        "write clip.permute(...)",
    )
