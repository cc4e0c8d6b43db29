"""Roofline of a training step (Williams et al. 2009, doi:10.1145/1498765.1498785).

Each operation takes at least the time of its arithmetic at the card's peak, and at least the time to move its
tensors at the card's bandwidth. The sum over the operations of a step, which run one after another, is a
lower bound of its time: what a card can reach without fused operations, not what it does reach.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vidcls.train.cost.cards import Card
from vidcls.train.cost.counter import OperationCost


@dataclass(frozen=True)
class Roofline:
    """Lower bound of the time of a step on a card.

    Attributes:
        seconds: Time of a step.
        compute_share: Share of the time in which arithmetic is the limit, not memory, 0 to 1.
    """

    seconds: float
    compute_share: float


def roofline(operations: Iterable[OperationCost], card: Card) -> Roofline:
    """Lower bound of the time that some operations take on a card, one after another."""
    total = computing = 0.0
    for operation in operations:
        peak = card.half_flops if operation.is_half else card.float_flops
        arithmetic, moving = operation.flops / peak, operation.num_bytes / card.bytes_per_s
        total += max(arithmetic, moving)
        computing += arithmetic if arithmetic >= moving else 0.0
    return Roofline(total, computing / total if total else 0.0)
