"""What choosing the best of several configurations flatters: the expected maximum of ties.

Whoever takes the configuration with the highest measured mean takes a lucky one: even if all N were equally
good, the highest of N means would lie above the truth, by the expected maximum of N draws of what is random
in each of them (winner's curse; for the order statistics David and Nagaraja 2003, Order Statistics, ch. 4).
What all configurations share, such as easy videos, cannot be chosen, so only the part of their own counts:

    spread^2 = s^2 / J + max(0, Cov2 - Cov3)
    flattery = E[max of N standard normals] * spread

s^2 is the variance over the J seeds of a configuration, Cov2 the covariance of two of its seeds over a new
draw of groups, and Cov3 that of runs of two configurations, see `crossed_effects`; all are means over the
configurations. Twice this is the variance of a difference of two of them. If all have the same seeds, as the
repeats of a sweep have, a seed that is lucky for all cannot be chosen either: then s^2 is the mean square of
the interaction of seeds and configurations, and Cov3 that of different seeds (Hillis 2007, Statist. Med.
26:596). With single seeds s is not known, so a configuration is flattered by at least as much.

Axes: R runs, C configurations, J seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from vidcls.arrays import Floats, Ints
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.jackknife import Jackknife

_REACH, _STEP = 12.0, 1e-3
"""Range of the integral, in standard deviations, and its step: exact to ten digits up to N = 10^9."""


@dataclass(frozen=True)
class Selection:
    """Choice of the best of N configurations.

    Attributes:
        num_configurations: N.
        spread: Standard deviation of the mean of one configuration around the truth, without what all share.
        num_single: Number of configurations with a single seed among those that the spread is computed from.
    """

    num_configurations: int
    spread: float
    num_single: int

    @property
    def flattery(self) -> float:
        """Expected excess of the highest mean over the truth if all configurations are equally good."""
        return expected_maximum(self.num_configurations) * self.spread


def expected_maximum(num: int) -> float:
    """Expected maximum of independent standard normal draws: 0.56 of 2, 1.54 of 10, 2.51 of 100.

    Args:
        num: Number of draws, 1 or more.
    """
    at = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    density = num * np.exp((num - 1) * log_ndtr(at) - at**2 / 2) / math.sqrt(2 * math.pi)
    return float((at * density).sum() * _STEP)


def selection_of(
    statistic: Jackknife,
    configurations: Sequence[int],
    *,
    seeds: Sequence[int] | None = None,
    num_configurations: int | None = None,
) -> Selection:
    """Selection of the best of two configurations or more.

    Args:
        statistic: Statistic of R runs, by which the best was chosen.
        configurations: Number of the configuration of each run, from 0 without gaps.
        seeds: Seed of each run; None if runs of different configurations have nothing in common.
        num_configurations: Number of configurations that could have been chosen, if it is larger.
    """
    effects = CrossedEffects.of(statistic, configurations)
    num = len(effects.means)
    table = None if seeds is None else _same_seeds(configurations, seeds)
    if table is None:
        seed_part = float((effects.seed_variance / effects.num_seeds).mean())
        across = float((effects.between.sum() - np.trace(effects.between)) / (num * (num - 1)))
    else:
        seed_part = _interaction(statistic.values[table]) / table.shape[1]
        across = _across(statistic.covariance, table)
    own = max(0.0, float(effects.within.mean()) - across)
    return Selection(
        num_configurations=max(num, num_configurations or 0),
        spread=math.sqrt(seed_part + own),
        num_single=int((effects.num_seeds == 1).sum()),
    )


def _same_seeds(configurations: Sequence[int], seeds: Sequence[int]) -> Ints | None:
    """Number of the run of each configuration and seed, `[C, J]`; None unless all have the same 2 or more."""
    runs = {pair: run for run, pair in enumerate(zip(configurations, seeds, strict=True))}
    names, columns = sorted(set(configurations)), sorted(set(seeds))
    if len(columns) < 2 or len(runs) != len(seeds) or len(runs) != len(names) * len(columns):
        return None
    return np.array([[runs[name, seed] for seed in columns] for name in names], dtype=np.int64)


def _interaction(values: Floats) -> float:
    """Mean square of the interaction of configurations and seeds, of values `[C, J]`."""
    residuals = values - values.mean(axis=0) - values.mean(axis=1)[:, None] + values.mean()
    num, num_seeds = values.shape
    return float((residuals**2).sum() / ((num - 1) * (num_seeds - 1)))


def _across(covariance: Floats, table: Ints) -> float:
    """Mean covariance of runs of two configurations with different seeds."""
    num, num_seeds = table.shape
    by_seeds = covariance[table[:, None, :, None], table[None, :, None, :]]  # [C, C, J, J]
    all_pairs = by_seeds.sum() - np.einsum("ccij->", by_seeds)
    same_seed = np.einsum("abii->", by_seeds) - np.einsum("aaii->", by_seeds)
    return float((all_pairs - same_seed) / (num * (num - 1) * num_seeds * (num_seeds - 1)))
