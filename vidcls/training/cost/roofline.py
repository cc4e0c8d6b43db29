"""Roofline of a training step (Williams et al. 2009, doi:10.1145/1498765.1498785).

Each operation takes the time of its arithmetic at the card's peak, or the time to move its tensors at the
card's bandwidth, whichever is longer. The sum over the operations of a step, which run one after another, is
what a card can reach without fused operations, not what it does reach. A cache that holds a small tensor from
one operation to the next is not counted: there a card may be faster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vidcls.training.cost.cards import Card
from vidcls.training.cost.counter import OperationCost


@dataclass(frozen=True)
class Roofline:
    """Time of a step on a card, by arithmetic.

    Attributes:
        seconds: Time of a step.
        compute_share: Share of the time in which arithmetic is the limit, not memory, 0 to 1.
    """

    seconds: float
    compute_share: float


def roofline(operations: Iterable[OperationCost], card: Card) -> Roofline:
    """Time that some operations take on a card, one after another, by arithmetic."""
    total = computing = 0.0
    for operation in operations:
        peak = card.half_flops if operation.is_half else card.float_flops
        arithmetic, moving = operation.flops / peak, operation.num_bytes / card.bytes_per_s
        total += max(arithmetic, moving)
        computing += arithmetic if arithmetic >= moving else 0.0
    return Roofline(total, computing / total if total else 0.0)
