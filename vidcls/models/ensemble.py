"""Sub-models on the same clip, trained together; their logits are joined.

    clip [B, C, T, H, W]
      |  each member, a model of any kind
    logits of the members [B, M, K]
      |  mean or max over M
    logits [B, K]

Axes: B clips, C channels, T frames, H W pixels, M members, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        members: Models that give the same number of logits. Equal ones differ by their random start.
        aggregate: How their logits are joined.
    """

    def __init__(self, members: Iterable[nn.Module], *, aggregate: Literal["mean", "max"]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.aggregate = aggregate

    def forward(self, clip: Tensor) -> Tensor:
        """`[B, C, T, H, W]` to `[B, K]`."""
        logits = torch.stack([member(clip) for member in self.members], dim=1)
        return logits.mean(dim=1) if self.aggregate == "mean" else logits.amax(dim=1)
