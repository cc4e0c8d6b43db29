"""A convolution that pads each side by a number of its own, as networks from TensorFlow need."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PaddedConv2d(nn.Conv2d):
    """A `Conv2d` after a frame of zeros; its weights have the same names.

    Attributes:
        zeros: Columns left and right, rows above and below; beyond the `padding` of the convolution.
    """

    zeros: tuple[int, int, int, int] = (0, 0, 0, 0)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (as PyTorch names it)
        """`[N, C, H, W]` to `[N, F, h, w]`."""
        return super().forward(F.pad(input, self.zeros))
