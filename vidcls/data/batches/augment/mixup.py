"""Mixup: each clip of a batch is blended with another one, and so are their labels (arXiv:1710.09412)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidcls.spec.sections import AugmentSection


@dataclass(frozen=True)
class Mixup:
    """Blends clip i of B with clip B - 1 - i: batches are drawn in random order, so this pairs at random.

    Attributes:
        share: Share of clip i itself, 0 to 1; the other clip has the rest.
    """

    share: float

    def on_clips(self, clip: Tensor) -> None:
        """Blend `[B, C, T, H, W]` in place."""
        clip.lerp_(clip.flip(0), 1 - self.share)

    def targets(self, labels: Tensor, num_classes: int) -> Tensor:
        """Probabilities `[B, K]` float32 of the blended clips from their labels `[B]`."""
        own = torch.zeros((len(labels), num_classes), device=labels.device)
        own.scatter_(1, labels[:, None], 1.0)
        return own.lerp(own.flip(0), 1 - self.share)


def draw_mixup(augment: AugmentSection, rng: np.random.Generator) -> Mixup:
    """Draw the share of one batch from Beta(mixup, mixup)."""
    return Mixup(float(rng.beta(augment.mixup, augment.mixup)))
