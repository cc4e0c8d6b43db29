"""Differences of all pairs at once are those of each pair alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.statistics.corrections import holm
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.jackknife import jackknife_of_means


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4), min_size=2, max_size=5))
def test_all_pairs_are_each_pair(seed: int, num_seeds: list[int]) -> None:
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(num_seeds)), num_seeds)
    right = (rng.random((len(member), 24)) < 0.6).astype(np.float64)
    groups = [str(video // 3) for video in range(24)]
    effects = CrossedEffects.of(jackknife_of_means(right, groups), member.tolist())
    first, second = np.triu_indices(len(num_seeds), 1)
    together = effects.differences(first, second)
    for number, (a, b) in enumerate(zip(first, second, strict=True)):
        # Alone: a comparison of the runs of the two, which knows nothing of the others.
        pair = np.isin(member, (a, b))
        only = CrossedEffects.of(
            jackknife_of_means(right[pair], groups), (member[pair] == b).astype(int).tolist()
        )
        alone = only.difference(0, 1)
        found = together[number]
        assert (found.value, found.std_error) == pytest.approx((alone.value, alone.std_error), abs=1e-9)
        assert found.dof == pytest.approx(alone.dof)
        assert together.p_values[number] == pytest.approx(alone.p_value)
    for number, mean in enumerate(effects.all_means()):
        assert mean == effects.mean(number)


@given(st.lists(st.floats(0, 1), max_size=9), st.integers(0, 12))
def test_holm_is_its_definition(p_values: list[float], num_comparisons: int) -> None:
    num = max(num_comparisons, len(p_values))
    adjusted = holm(p_values, num_comparisons=num_comparisons)
    for number, p_value in enumerate(p_values):
        smaller = sorted(p for p in p_values if p <= p_value)
        steps = [(num if num > len(p_values) else num - rank) * p for rank, p in enumerate(smaller)]
        assert adjusted[number] == pytest.approx(min(1.0, max(steps)))


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 7])
def test_seeds_with_equal_accuracies_have_no_variance_left_by_rounding(num_seeds: int) -> None:
    # Each run of the first configuration misses one video, each of the second two, and never the same.
    wrong = np.zeros((2 * num_seeds, 40), bool)
    for seed in range(num_seeds):
        wrong[seed, seed] = True
        wrong[num_seeds + seed, num_seeds + 2 * seed : num_seeds + 2 * seed + 2] = True
    right = jackknife_of_means(1.0 - wrong, [str(video) for video in range(40)])
    member = [0] * num_seeds + [1] * num_seeds
    found = CrossedEffects.of(right, member).difference(0, 1)
    assert found.value == pytest.approx(-1 / 40)
    # What rounding leaves of a variance of zero would look like certainty.
    assert found.std_error > 0.01
    assert found.p_value > 0.05
