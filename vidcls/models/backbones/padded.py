"""Convolution with separate padding for each side, as needed by networks from TensorFlow."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PaddedConv2d(nn.Conv2d):
    """`Conv2d` after zero padding; its weights have the same names.

    Attributes:
        zeros: Columns left and right, rows above and below; in addition to `padding` of the convolution.
    """

    zeros: tuple[int, int, int, int] = (0, 0, 0, 0)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (as PyTorch names it)
        """Compute `[N, F, h, w]` from `[N, C, H, W]`."""
        return super().forward(F.pad(input, self.zeros))
