"""Simulated studies whose truth is known: configurations, seeds of each, videos in groups of unequal size.

A run answers a video correctly with the probability

    link(level_c + seed_cj + group_g + configuration-by-group_cg + video_v + configuration-by-video_cv)

and all effects are normal and independent. The link is the logistic function, or the identity cut off at 0
and 1. The truth of a configuration is its expected accuracy over seeds, groups and videos: an integral over
one normal number, since the sum of the effects is normal. The levels are solved for, so that these truths are
the accuracies that were asked for; so is the spread of the seed effect.

Axes: S studies, C configurations, J seeds, G groups, N videos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from vidcls.arrays import Floats, Ints

Link = Literal["logistic", "linear"]

VIDEOS = {45: 120, 137: 400}
"""Number of videos for each number of groups: those of a val split and of a larger set."""

_ACCURACY = 0.7
# Standard deviations on the scale of the link.
_GROUP = {"logistic": 0.8, "linear": 0.09}
_GROUP_BY_CONFIGURATION = {"logistic": 0.5, "linear": 0.06}
_VIDEO = {"logistic": 1.2, "linear": 0.15}
_VIDEO_BY_CONFIGURATION = {"logistic": 0.7, "linear": 0.08}
_NORMAL = np.linspace(-8, 8, 1601)
_WEIGHTS = np.exp(-(_NORMAL**2) / 2) / np.exp(-(_NORMAL**2) / 2).sum()


@dataclass(frozen=True)
class Design:
    """What the studies of a cell have in common.

    Attributes:
        link: How effects become probabilities.
        seed_spread: Standard deviation over seeds of the expected accuracy, as a share.
        difference: Expected accuracy of the last configuration minus that of every other one, as a share.
        num_seeds: J.
        num_groups: G.
        num_configurations: C.
        num_videos: N; 0: that of `VIDEOS`.
    """

    link: Link
    seed_spread: float
    difference: float
    num_seeds: int
    num_groups: int
    num_configurations: int = 3
    num_videos: int = 0

    @property
    def videos(self) -> int:
        """Number of videos."""
        return self.num_videos or VIDEOS[self.num_groups]

    @property
    def truths(self) -> Floats:
        """Expected accuracy of each configuration, `[C]`."""
        truths = np.full(self.num_configurations, _ACCURACY)
        truths[-1] += self.difference
        return truths

    @property
    def videos_sd(self) -> float:
        """Standard deviation of all effects of groups and videos together, on the scale of the link."""
        parts = (_GROUP, _GROUP_BY_CONFIGURATION, _VIDEO, _VIDEO_BY_CONFIGURATION)
        return math.sqrt(sum(part[self.link] ** 2 for part in parts))


@dataclass(frozen=True, eq=False)
class Studies:
    """Answers of simulated studies.

    Attributes:
        correct: 1 where a run answers a video correctly, else 0, `[S, C, J, N]`.
        groups: Number of the group of each video, `[S, N]`.
        checkpoints: Expected accuracy of each run over groups and videos, `[S, C, J]`.
    """

    correct: Floats
    groups: Ints
    checkpoints: Floats

    def group_sums(self, num_groups: int) -> tuple[Floats, Ints]:
        """Correct answers and videos of each group: `[S, G, C, J]` and `[S, G]`."""
        member = self.groups[..., None] == np.arange(num_groups)
        sums = self.correct.reshape(*self.correct.shape[:1], -1, self.correct.shape[-1]) @ member
        return np.moveaxis(sums.reshape(*self.correct.shape[:3], num_groups), 3, 1), member.sum(axis=1)


def simulate(design: Design, *, num_studies: int, rng: np.random.Generator) -> Studies:
    """Draw studies of a design."""
    link, shape = design.link, (num_studies, design.num_configurations)
    groups = _groups(design, num_studies, rng)
    solved = [_level_and_seed_sd(link, truth, design.seed_spread) for truth in design.truths]
    levels, seed_sds = (np.array(part) for part in zip(*solved, strict=True))

    def draw(sd: dict[str, float], *axes: int) -> Floats:
        return sd[link] * rng.standard_normal(axes)

    seed_effects = seed_sds[:, None] * rng.standard_normal((*shape, design.num_seeds))
    of_groups = draw(_GROUP, num_studies, 1, design.num_groups)
    of_groups = of_groups + draw(_GROUP_BY_CONFIGURATION, *shape, design.num_groups)
    of_videos = np.take_along_axis(of_groups, groups[:, None, :], axis=2)
    of_videos += draw(_VIDEO, num_studies, 1, design.videos)
    of_videos += draw(_VIDEO_BY_CONFIGURATION, *shape, design.videos)
    scale = (levels[:, None] + seed_effects)[..., None] + of_videos[:, :, None]
    correct = rng.random(scale.shape) < _probability(link, scale)
    return Studies(correct.astype(np.float64), groups, _checkpoints(design, levels, seed_effects))


def _groups(design: Design, num_studies: int, rng: np.random.Generator) -> Ints:
    """Group of each video, `[S, N]`: one video in each group, and the rest in large and small groups."""
    weights = rng.gamma(1.5, size=(num_studies, design.num_groups)).cumsum(axis=1)
    rest = rng.random((num_studies, design.videos - design.num_groups)) * weights[:, -1:]
    later = (rest[..., None] > weights[:, None]).sum(axis=2)
    first = np.broadcast_to(np.arange(design.num_groups), (num_studies, design.num_groups))
    return np.concatenate([first, later], axis=1)


def _probability(link: Link, scale: Floats) -> Floats:
    return np.asarray(expit(scale) if link == "logistic" else scale.clip(0, 1))


@lru_cache
def _level_and_seed_sd(link: Link, truth: float, seed_spread: float) -> tuple[float, float]:
    """Level and standard deviation of the seed effect, on the scale of the link."""
    rest = Design(link, 0, 0, 1, 1).videos_sd

    def level_of(seed_sd: float) -> float:
        sd = math.hypot(rest, seed_sd)

        def miss(level: float) -> float:
            return float(_probability(link, level + sd * _NORMAL) @ _WEIGHTS) - truth

        return float(brentq(miss, -20, 20, xtol=1e-12))

    def spread(seed_sd: float) -> float:
        found = _expected(link, level_of(seed_sd) + seed_sd * _NORMAL[::8])
        weights = _WEIGHTS[::8] / _WEIGHTS[::8].sum()
        return math.sqrt(((found - found @ weights) ** 2) @ weights)

    if not seed_spread:
        return level_of(0.0), 0.0
    seed_sd = float(brentq(lambda sd: spread(sd) - seed_spread, 0, rest, xtol=1e-9))
    return level_of(seed_sd), seed_sd


def _expected(link: Link, scale: Floats) -> Floats:
    """Expected accuracy over groups and videos of runs with a level and a seed effect."""
    rest = Design(link, 0, 0, 1, 1).videos_sd
    return np.asarray(_probability(link, scale[..., None] + rest * _NORMAL[::8]) @ _WEIGHTS[::8] * 8)


def _checkpoints(design: Design, levels: Floats, seed_effects: Floats) -> Floats:
    at = levels[:, None] + seed_effects
    grid = np.linspace(at.min() - 1e-9, at.max() + 1e-9, 201)
    return np.interp(at, grid, _expected(design.link, grid))
