"""Views of clips, as tests write them."""

from __future__ import annotations

from vidcls.data.batches.augment.flip import Flip
from vidcls.data.batches.augment.view import View
from vidcls.data.batches.window import Window


def seen(top: int, left: int, height: int, width: int, *, flip: bool = False) -> View:
    return View(Window(top, left, height, width), (Flip(),) if flip else ())
