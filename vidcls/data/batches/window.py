"""Window: the part of the stored frames that a clip shows. Imports no torch."""

from __future__ import annotations

from typing import NamedTuple

from vidcls.spec.sections import Clip


class Window(NamedTuple):
    """Part of the stored frames, in pixels."""

    top: int
    left: int
    height: int
    width: int


def eval_window(stored: tuple[int, int], clip: Clip) -> Window:
    """Window for evaluation: the whole squeezed frame, or the centre of a frame that kept its aspect ratio.

    Args:
        stored: Height and width of the stored frames.
        clip: Size of the window.
    """
    height, width = clip.size
    return Window((stored[0] - height) // 2, (stored[1] - width) // 2, height, width)
