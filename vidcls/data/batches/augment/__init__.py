"""Augmentation of clips: one file for each operation; here they are put together, in their order.

The draws come from a generator keyed by the clip, so they depend neither on its batch nor on the order; those
that mix a batch come from one keyed by the step.
"""

from __future__ import annotations

import numpy as np

from vidcls.data.batches.augment.crop import draw_window
from vidcls.data.batches.augment.flip import draw_flip
from vidcls.data.batches.augment.mixup import draw_mixup
from vidcls.data.batches.augment.view import BatchOperation, Operation, View
from vidcls.data.batches.window import eval_window
from vidcls.data.sampling import generator
from vidcls.spec.sections import AugmentSection, Clip


def eval_view(stored: tuple[int, int], clip: Clip) -> View:
    """View for evaluation, which augments nothing.

    Args:
        stored: Height and width of the stored frames.
        clip: Size of the window.
    """
    return View(eval_window(stored, clip))


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
    # In this order, which the random numbers are drawn in too. One that is switched off must draw none,
    # so that what a clip looked like before there was such an operation stays as it was.
    operations: list[Operation | None] = [draw_flip(augment, rng)]
    window = draw_window(stored, clip, augment=augment, rng=rng)
    return View(window, tuple(operation for operation in operations if operation is not None))


def draw_mix(augment: AugmentSection, *, step: tuple[int, int, int]) -> BatchOperation | None:
    """Draw how the clips of one training batch are mixed with one another; None if they are not.

    Args:
        augment: Augmentations that may be applied.
        step: Seed, epoch, and step within the epoch, which decide what is drawn.
    """
    return draw_mixup(augment, generator("mix", *step)) if augment.mixup else None
