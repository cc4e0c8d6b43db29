"""Trials of a race: more seeds only for the contenders that the looks have left in it.

A race compares experiments (its contenders) after 2, 3, 5, ... seeds; each comparison is a look. The trials
up to the first look are known from the beginning, those up to the next look once a look has been published:

    looks/<n>.json   look n, from 1: which contenders go on; written once, by any process, and never changed

So the trials are a pure function of the folder, and all workers agree on them without a controller. A
contender that one look has left out may go on after a later one; it then gets the seeds that it has missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vidcls.sweep.search.searcher import Observation
from vidcls.sweep.space.space import Point
from vidcls.sweep.storage.folder import CONTENDER
from vidcls.sweep.storage.storage import Storage


class RaceSearcher:
    """Names the trials of a race.

    Args:
        contenders: Names of the contenders.
        seeds: Seeds of each contender, in the order in which they are trained.
        looks: Numbers of seeds at which the contenders are compared, ascending; the last one is that of
            `seeds`.
        storage: Storage of the race.
    """

    def __init__(
        self, contenders: Sequence[str], *, seeds: Sequence[int], looks: Sequence[int], storage: Storage
    ) -> None:
        self.contenders, self.looks = tuple(contenders), tuple(looks)
        self._seeds, self._storage = tuple(seeds), storage
        self._published: list[Mapping[str, Any]] = []

    def published(self) -> list[Mapping[str, Any]]:
        """Looks that were taken, in order; costs one check for the file of the next look."""
        while len(self._published) < len(self.looks):
            look = self._storage.read(_name(len(self._published) + 1))
            if look is None:
                break
            self._published.append(look)
        return list(self._published)

    def publish(self, number: int, content: Mapping[str, Any]) -> bool:
        """Publish a look; False if another process has published it.

        Args:
            number: Number of the look, from 1.
            content: `going_on`, the names of the contenders that go on, and the figures of the look.
        """
        return self._storage.create(_name(number), content)

    @property
    def going_on(self) -> tuple[str, ...]:
        """Contenders that are still in the race, or that were when it ended."""
        published = self.published()
        return tuple(published[-1]["going_on"]) if published else self.contenders

    @property
    def is_over(self) -> bool:
        """Whether no further look is taken: one contender is left, or all seeds are spent."""
        return len(self.going_on) < 2 or len(self.published()) == len(self.looks)

    def known(self) -> list[Point]:
        """Points of all trials that are known now; seeds vary slowest, so that contenders keep pace."""
        rounds = [self.contenders, *(tuple(look["going_on"]) for look in self.published())]
        pairs: dict[tuple[int, str], None] = {}  # in order, each once
        for last, names in zip(self.looks, rounds, strict=False):
            if len(names) > 1:
                pairs |= dict.fromkeys((seed, name) for seed in self._seeds[:last] for name in names)
        return [{CONTENDER: name, "seed": seed} for seed, name in pairs]

    @property
    def num_configurations(self) -> int | None:
        """Largest number of trials that the race can still have."""
        num_known = len(self.known())
        if self.is_over:
            return num_known
        return num_known + (len(self._seeds) - self.looks[len(self.published())]) * len(self.going_on)

    def can_ask(self, number: int) -> bool:
        """Whether the point of a trial is known: that of a later round depends on the next look."""
        return number < len(self.known())

    def ask(self, number: int, seen: Sequence[Observation]) -> Point:  # noqa: ARG002
        """Point of a trial."""
        return self.known()[number]


def _name(number: int) -> str:
    return f"looks/{number}.json"
