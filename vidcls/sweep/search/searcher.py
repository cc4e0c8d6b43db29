"""Interface of the searchers, which choose the points of a sweep.

Grid and random search are pure functions of (file, seed, number); Bayesian search also depends on the results
seen so far. A searcher on another machine can compute the same point from the same results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from vidcls.sweep.space.space import Point


@dataclass(frozen=True)
class Observation:
    """Configuration that was handed out, with its result so far.

    Attributes:
        number: Number of the configuration, contiguous from 0.
        point: Point of the configuration.
        state: State; `stopped` is an early stop, which has a value like `finished`.
        value: Best value of the metric so far; None if there is no value.
        latest: Last value of the metric; `impute: latest` takes it for a failed configuration.
    """

    number: int
    point: Point
    state: Literal["running", "finished", "stopped", "failed"]
    value: float | None
    latest: float | None = None


class Searcher(Protocol):
    """Chooses the points of a sweep."""

    @property
    def num_configurations(self) -> int | None:
        """Number of configurations; None if the search has no end."""

    def can_ask(self, number: int) -> bool:
        """Whether the point of a configuration can be chosen now, once all before it were handed out."""

    def ask(self, number: int, seen: Sequence[Observation]) -> Point:
        """Point of a configuration.

        Args:
            number: Number of the configuration.
            seen: All configurations handed out before, ordered by number.

        Raises:
            ValueError: If the grid has no such point.
        """
