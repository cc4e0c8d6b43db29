"""What chooses the points of a sweep.

Grid and random are pure functions of (file, seed, number); Bayesian of those and the results seen. No
searcher keeps anything that another one, on another machine, could not work out from the same results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from vidcls.sweep.space.space import Point


@dataclass(frozen=True)
class Observation:
    """A configuration that was handed out.

    Attributes:
        number: Number of the configuration, contiguous from 0.
        point: What it tries.
        state: `stopped` is an early stop, which has a value like a finished one.
        value: Best value of the metric so far; None where it has none.
        latest: Its last value; what `impute: latest` takes for a failed one.
    """

    number: int
    point: Point
    state: Literal["running", "finished", "stopped", "failed"]
    value: float | None
    latest: float | None = None


class Searcher(Protocol):
    """Chooses points."""

    @property
    def num_configurations(self) -> int | None:
        """How many there are; None where they do not end."""

    def ask(self, number: int, seen: Sequence[Observation]) -> Point:
        """The point of a configuration.

        Args:
            number: The configuration's.
            seen: All configurations handed out before, in the order of their numbers.

        Raises:
            ValueError: The grid has no such point.
        """
