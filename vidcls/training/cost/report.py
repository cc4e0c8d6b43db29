"""What a training step costs, and what GPUs can reach at most, for people and scripts."""

from __future__ import annotations

from dataclasses import dataclass

from vidcls.choices import Precision
from vidcls.training.cost.cards import CARDS, card_of
from vidcls.training.cost.memory import Footprint
from vidcls.training.cost.roofline import roofline


@dataclass(frozen=True)
class Bound:
    """What a card can reach in training, by arithmetic from its data sheet.

    Attributes:
        card: Name of the card.
        memory_bytes: Size of its memory.
        clips_per_s: Training clips per second, see `vidcls.training.cost.roofline`.
        compute_share: Share of the time in which arithmetic is the limit, not bandwidth, 0 to 1.
    """

    card: str
    memory_bytes: float
    clips_per_s: float
    compute_share: float


@dataclass(frozen=True)
class StepCost:
    """Cost of a training step.

    Attributes:
        batch_size: Number of clips.
        precision: Precision of the step.
        training_bytes: Peak of all tensors, without the work space of libraries.
        gflops: Operations in 10^9; a multiply-add counts as two.
        bounds: What some cards can reach.
    """

    batch_size: int
    precision: Precision
    training_bytes: int
    gflops: float
    bounds: tuple[Bound, ...]


def step_cost(counted: Footprint, *, batch_size: int, precision: Precision) -> StepCost:
    """Sum up the cost of a step of `batch_size` clips."""
    cards = [CARDS["a100"], CARDS["h100"], card_of("a100", "1g.10gb")]
    bounds = []
    for card in cards:
        assert card is not None
        bound = roofline(counted.operations, card)
        speed = batch_size / bound.seconds
        bounds.append(Bound(card.name, card.memory_bytes, speed, bound.compute_share))
    return StepCost(batch_size, precision, counted.training_bytes, counted.gflops, tuple(bounds))
