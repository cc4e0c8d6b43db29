"""Which point a configuration of a sweep gets: grid, random or Bayesian.

Grid and random are pure functions of (file, seed, number); Bayesian of those and the results seen. No
searcher keeps anything that another one, on another machine, could not work out from the same results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from vidcls.sweep.file import SweepFile
from vidcls.sweep.space import Point, Space


@dataclass(frozen=True)
class Seen:
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

    def ask(self, number: int, seen: Sequence[Seen]) -> Point:
        """The point of a configuration.

        Args:
            number: The configuration's.
            seen: All configurations handed out before, in the order of their numbers.

        Raises:
            ValueError: The grid has no such point.
        """


@dataclass(frozen=True)
class GridSearcher:
    """Every point of the grid, once."""

    space: Space

    @property
    def num_configurations(self) -> int | None:
        """The size of the grid."""
        return self.space.num_points

    def ask(self, number: int, seen: Sequence[Seen]) -> Point:  # noqa: ARG002
        """The point of a configuration."""
        return self.space.grid_point(number)


@dataclass(frozen=True)
class RandomSearcher:
    """Independent draws."""

    space: Space
    seed: int

    @property
    def num_configurations(self) -> int | None:
        """None: draws do not end."""
        return None

    def ask(self, number: int, seen: Sequence[Seen]) -> Point:  # noqa: ARG002
        """The point of a configuration."""
        return self.space.random_point(self.seed, number)


def open_searcher(sweep: SweepFile, *, seed: int) -> Searcher:
    """The searcher of a sweep file.

    Args:
        sweep: The file.
        seed: Seed of the search, 0 to 2**64 - 1; without effect on a grid.
    """
    match sweep.method:
        case "grid":
            return GridSearcher(sweep.space)
        case "random":
            return RandomSearcher(sweep.space, seed)
        case "bayes":
            from vidcls.sweep.bayes import BayesSearcher

            assert sweep.metric is not None
            return BayesSearcher(sweep.space, sweep.metric, seed=seed)
