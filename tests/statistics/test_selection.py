"""What choosing the best of N ties flatters: the formula against draws, and against simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.jackknife import jackknife_of_means
from vidcls.statistics.selection import expected_maximum, selection_of


@pytest.mark.parametrize(
    ("num", "known"),
    # Exact values; for 5 and more those of Harter (1961, Biometrika 48:151).
    [(1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (5, 1.16296), (100, 2.50759)],
)
def test_expected_maximum_is_that_of_the_tables(num: int, known: float) -> None:
    assert expected_maximum(num) == pytest.approx(known, abs=5e-6)


@pytest.mark.parametrize("num", [7, 1000, 10**6])
def test_expected_maximum_agrees_with_an_adaptive_integral(num: int) -> None:
    def tail(x: float) -> float:
        return float(-np.expm1(num * norm.logcdf(x)) - np.exp(num * norm.logcdf(-x)))

    assert expected_maximum(num) == pytest.approx(quad(tail, 0, 12, limit=500)[0], abs=1e-7)


@pytest.mark.parametrize(("num_seeds", "are_shared"), [(1, False), (3, False), (3, True)])
def test_the_best_of_ties_is_flattered_as_foretold(num_seeds: int, are_shared: bool) -> None:
    """Twenty equal configurations, again and again: the best one is as much too high as is said."""
    num, num_groups, num_studies = 20, 40, 300
    rng = np.random.default_rng(5)
    member = np.repeat(np.arange(num), num_seeds)
    excess, foretold, nested = [], [], []
    for _ in range(num_studies):
        # All configurations and seeds share what makes a group hard; each has its own taste for groups, and
        # each seed has luck of its own.
        shared = rng.normal(0, 0.15, num_groups)
        taste = rng.normal(0, 0.1, (num, num_groups))[member]
        luck = rng.normal(0, 0.03, (len(member), 1)) * (num_seeds > 1)
        noise = rng.normal(0, 0.1, (len(member), num_groups))
        # The same seeds may be lucky, or good at a group, for all configurations.
        fate = rng.normal(0, 0.05, (num_seeds, 1)) + rng.normal(0, 0.1, (num_seeds, num_groups))
        values = 0.6 + shared + taste + luck + noise + (np.tile(fate, (num, 1)) if are_shared else 0)
        groups = [str(number) for number in range(num_groups)]
        statistic = jackknife_of_means(values, groups)
        effects = CrossedEffects.of(statistic, member)
        # Nobody can choose the videos or the seeds that all share.
        common = shared.mean() + (fate.mean() if are_shared else 0)
        excess.append(effects.means.max() - (0.6 + common))
        seeds = np.tile(np.arange(num_seeds), num).tolist()
        found = selection_of(statistic, member, seeds=seeds if are_shared else None)
        if are_shared:
            nested.append(selection_of(statistic, member).flattery)
        assert found.num_single == (num if num_seeds == 1 else 0)
        foretold.append(found.flattery)
    error = float(np.std(excess) / math.sqrt(num_studies))
    assert abs(float(np.mean(excess)) - float(np.mean(foretold))) < 3 * error
    assert float(np.mean(foretold)) > 10 * error, "there is something to tell"
    if are_shared:
        assert float(np.mean(nested)) > float(np.mean(foretold)) + 5 * error, "too much without the pairing"


def test_more_to_choose_from_flatters_more_than_what_was_measured() -> None:
    values = np.random.default_rng(0).normal(size=(4, 30))
    statistic = jackknife_of_means(values, [str(n) for n in range(30)])
    few, many = (selection_of(statistic, range(4), num_configurations=num) for num in (None, 50))
    assert (few.num_configurations, many.num_configurations) == (4, 50)
    assert few.spread == many.spread
    assert many.flattery / few.flattery == pytest.approx(expected_maximum(50) / expected_maximum(4))
