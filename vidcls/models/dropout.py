"""Dropout whose random numbers cost a CPU little: torch draws them one by one, four times as slowly."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 2**16
_PER_DRAW = 4  # numbers of 16 bits in one of 64


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) with a probability that is rounded to 1/65536 on a CPU.

    On a head that trains on stored features, torch's own draw takes longer than all the rest of a step. Here
    one draw of 64 bits decides for four values. What is kept is scaled by the rounded probability, so that
    the mean stays exact.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name that nn.Dropout gives it)
        """Set values to zero at random while training, and scale the others; the shape stays."""
        num_dropped = round(self.p * _LEVELS)
        if not self.training or not 0 < num_dropped < _LEVELS or input.device.type != "cpu":
            return F.dropout(input, self.p, self.training)
        draws = torch.empty(math.ceil(input.numel() / _PER_DRAW), dtype=torch.int64)
        levels = draws.random_(-(2**63), None).view(torch.int16)[: input.numel()].view(input.shape)
        kept = (levels >= num_dropped - _LEVELS // 2).to(input.dtype)
        return input * kept.mul_(_LEVELS / (_LEVELS - num_dropped))
