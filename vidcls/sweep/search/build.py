"""Builds the searcher of a sweep file: the only place that maps methods to classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from vidcls.sweep.config.file import SweepFile, load_sweep
from vidcls.sweep.search.bayes import BayesSearcher
from vidcls.sweep.search.race import RaceSearcher
from vidcls.sweep.search.searcher import Observation, Searcher
from vidcls.sweep.space.distributions import Categorical
from vidcls.sweep.space.space import Point, Space
from vidcls.sweep.storage.folder import CONTENDER, SweepFolder


@dataclass(frozen=True)
class GridSearcher:
    """Grid search: tries every point of the grid once."""

    space: Space

    @property
    def num_configurations(self) -> int | None:
        """Number of points of the grid."""
        return self.space.num_points

    def can_ask(self, number: int) -> bool:  # noqa: ARG002
        """Any point can be chosen at any time."""
        return True

    def ask(self, number: int, seen: Sequence[Observation]) -> Point:  # noqa: ARG002
        """Point of a configuration."""
        return self.space.grid_point(number)


@dataclass(frozen=True)
class RandomSearcher:
    """Random search: draws each point independently."""

    space: Space
    seed: int

    @property
    def num_configurations(self) -> int | None:
        """None, because random search has no end."""
        return None

    def can_ask(self, number: int) -> bool:  # noqa: ARG002
        """Any point can be chosen at any time."""
        return True

    def ask(self, number: int, seen: Sequence[Observation]) -> Point:  # noqa: ARG002
        """Point of a configuration."""
        return self.space.random_point(self.seed, number)


def searcher_of(folder: SweepFolder) -> Searcher:
    """Searcher of a launched sweep or race."""
    return race_of(folder) or open_searcher(load_sweep(folder.sweep_file), seed=folder.options().seed)


def race_of(folder: SweepFolder) -> RaceSearcher | None:
    """Trials and looks of a race; None for any other sweep."""
    looks = folder.options().looks
    if not looks:
        return None
    parameters = load_sweep(folder.sweep_file).space.parameters
    contenders, seeds = parameters[CONTENDER], parameters["seed"]
    assert isinstance(contenders, Categorical)
    assert isinstance(seeds, Categorical)
    return RaceSearcher(contenders.values, seeds=seeds.values, looks=looks, storage=folder.storage)


def open_searcher(sweep: SweepFile, *, seed: int) -> Searcher:
    """Build the searcher of a sweep file.

    Args:
        sweep: Sweep file.
        seed: Seed of the search, 0 to 2**64 - 1; it has no effect on a grid.
    """
    match sweep.method:
        case "grid":
            return GridSearcher(sweep.space)
        case "random":
            return RandomSearcher(sweep.space, seed)
        case "bayes":
            assert sweep.metric is not None
            return BayesSearcher(sweep.space, sweep.metric, seed=seed)
        case _:
            assert_never(sweep.method)
