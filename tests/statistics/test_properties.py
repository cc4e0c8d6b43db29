"""What holds of estimates, looks and power whatever the numbers are."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.jackknife import jackknife_of_means
from vidcls.statistics.looks import LOOKS, TOTAL_ALPHA, beaten, looks_up_to
from vidcls.statistics.power import Plan, VarianceComponents, components_of

NUM_VIDEOS = 14
SEEDS = st.integers(0, 10_000)
COMPONENTS = st.builds(
    VarianceComponents,
    seed=st.floats(0, 0.01),
    video=st.floats(0, 0.2),
    group=st.floats(0, 0.2),
)


def study(seed: int, *, num_seeds: tuple[int, ...] = (3, 3)) -> tuple[np.ndarray, list[str], list[int]]:
    """Values `[R, N]` of runs, groups of the videos, configurations of the runs."""
    rng = np.random.default_rng(seed)
    members = [number for number, num in enumerate(num_seeds) for _ in range(num)]
    values = rng.normal(size=(len(members), 1)) + rng.normal(size=(len(members), NUM_VIDEOS))
    groups = [f"g{number}" for number in [0, 1, 2, 3, *rng.integers(0, 4, NUM_VIDEOS - 4)]]
    return values, groups, members


def estimates(values: np.ndarray, groups: list[str], members: list[int]) -> list[Estimate]:
    effects = CrossedEffects.of(jackknife_of_means(values, groups), members)
    return [effects.mean(0), effects.mean(1), effects.difference(0, 1)]


def numbers(found: list[Estimate]) -> list[float]:
    return [number for one in found for number in (one.value, one.std_error, one.dof, one.p_value)]


@given(seed=SEEDS)
@settings(max_examples=40)
def test_the_order_of_videos_and_runs_and_the_names_of_groups_change_nothing(seed: int) -> None:
    values, groups, members = study(seed)
    rng = np.random.default_rng(seed)
    videos, runs = rng.permutation(NUM_VIDEOS), rng.permutation(len(members))
    renamed = [f"z{9 - int(groups[video][1:])}" for video in videos]
    shuffled = estimates(values[runs][:, videos], renamed, [members[run] for run in runs])
    np.testing.assert_allclose(numbers(shuffled), numbers(estimates(values, groups, members)), rtol=1e-9)


@given(seed=SEEDS, scale=st.floats(0.01, 100), shift=st.floats(-5, 5))
@settings(max_examples=40)
def test_estimates_scale_and_a_shift_leaves_differences_alone(seed: int, scale: float, shift: float) -> None:
    values, groups, members = study(seed, num_seeds=(2, 5))
    plain = estimates(values, groups, members)
    scaled = estimates(scale * values + shift, groups, members)
    for before, after, moved in zip(plain, scaled, (shift, shift, 0.0), strict=True):
        assert after.value == pytest.approx(scale * before.value + moved, abs=1e-9)
        assert after.std_error == pytest.approx(scale * before.std_error, rel=1e-6)
        assert after.dof == pytest.approx(before.dof, rel=1e-6)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_a_difference_turned_round_has_the_other_sign(seed: int) -> None:
    values, groups, members = study(seed, num_seeds=(2, 1))
    effects = CrossedEffects.of(jackknife_of_means(values, groups), members)
    one, other = effects.difference(0, 1), effects.difference(1, 0)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert (one.std_error, one.dof) == pytest.approx((other.std_error, other.dof))


def test_identical_runs_differ_by_nothing() -> None:
    values = np.tile(np.random.default_rng(0).integers(0, 2, NUM_VIDEOS).astype(float), (4, 1))
    found = estimates(values, study(0)[1], [0, 0, 1, 1])[2]
    assert (found.value, found.std_error, found.p_value) == (0.0, 0.0, 1.0)
    assert (found.low, found.high) == (0.0, 0.0)


def test_two_seeds_that_agree_by_chance_do_not_bring_the_certainty_of_the_groups() -> None:
    effects = CrossedEffects(
        means=np.array([0.7]),
        num_seeds=np.array([2]),
        seed_variance=np.array([1e-4]),
        run_variance=np.array([2e-3]),
        within=np.array([1e-3]),
        between=np.zeros((1, 1)),
        num_groups=200,
    )
    welch = (5e-5 + 1e-3) ** 2 / (5e-5**2 + 1e-3**2 / 199)
    assert 1 < effects.mean(0).dof < 0.75 * welch


@given(most=st.integers(2, 200))
def test_looks_spend_five_percent_and_end_at_the_last_seed(most: int) -> None:
    looks = looks_up_to(most)
    assert sum(look.alpha for look in looks) == pytest.approx(TOTAL_ALPHA)
    assert looks[0].num_seeds == 2
    assert looks[-1].num_seeds == most
    assert all(before.num_seeds < after.num_seeds for before, after in pairwise(looks))
    assert all(look.alpha > 0 for look in looks)


def test_ten_seeds_have_the_looks_whose_rate_was_measured() -> None:
    assert looks_up_to(10) == LOOKS


@given(seed=SEEDS, alpha=st.sampled_from([0.002, 0.05, 0.5, 1.0]))
@settings(max_examples=40)
def test_who_is_beaten_is_worse_and_the_best_never_is(seed: int, alpha: float) -> None:
    values, groups, members = study(seed, num_seeds=(2, 2, 3, 3))
    values += np.array(members)[:, None] * np.random.default_rng(seed).normal()
    effects = CrossedEffects.of(jackknife_of_means(values, groups), members)
    contenders = [0, 2, 3]
    losers = beaten(effects, contenders=contenders, alpha=alpha)
    assert set(losers) | set(losers.values()) <= set(contenders)
    assert max(contenders, key=lambda one: effects.means[one]) not in losers
    for loser, winner in losers.items():
        assert effects.means[winner] > effects.means[loser]
        assert effects.difference(loser, winner).p_value <= alpha
    if alpha == 1.0:
        assert len(losers) == len(contenders) - 1


@given(parts=COMPONENTS, num_seeds=st.integers(1, 12), difference=st.floats(0.001, 0.3))
@settings(max_examples=60)
def test_power_rises_with_the_difference_and_with_alpha(
    parts: VarianceComponents, num_seeds: int, difference: float
) -> None:
    plan = Plan(num_seeds, 30, 90)
    powers = [parts.power(factor * difference, plan) for factor in (0.5, 1.0, 2.0)]
    assert powers == sorted(powers)
    assert all(0 <= power <= 1 for power in powers)
    assert parts.power(-difference, plan) == pytest.approx(powers[1])
    assert parts.power(difference, plan, alpha=0.01) <= powers[1]


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 5, 10])
def test_without_a_difference_power_is_at_most_the_level(num_seeds: int) -> None:
    parts = VarianceComponents(0.03**2, 0.08, 0.25**2)
    for plan in (Plan(num_seeds, 20, 60), Plan(num_seeds, 200, 200)):
        assert 0.02 < parts.power(0.0, plan) < 0.052


def test_what_is_needed_is_the_smallest_that_is_enough() -> None:
    parts = VarianceComponents(0.03**2, 0.08, 0.15**2)
    plan = Plan(5, 60, 120)
    seeds = parts.seeds_needed(0.07, plan)
    assert seeds is not None
    assert parts.power(0.07, Plan(seeds, 60, 120)) >= 0.8 > parts.power(0.07, Plan(seeds - 1, 60, 120))
    groups = parts.groups_needed(0.07, plan)
    assert groups is not None
    before = Plan(5, groups - 1, 2 * (groups - 1))
    assert parts.power(0.07, Plan(5, groups, 2 * groups)) >= 0.8 > parts.power(0.07, before)


def test_no_number_of_seeds_makes_up_for_few_groups_and_no_number_of_groups_for_few_seeds() -> None:
    parts = VarianceComponents(0.03**2, 0.08, 0.25**2)
    assert parts.seeds_needed(0.05, Plan(2, 45, 120)) is None
    assert parts.groups_needed(0.05, Plan(5, 45, 120)) is None
    assert parts.groups_needed(0.05, Plan(15, 45, 120)) is not None


def test_components_that_were_measured_give_the_measured_variance_back() -> None:
    values, groups, members = study(3, num_seeds=(4, 4))
    effects = CrossedEffects.of(jackknife_of_means(values, groups), members)
    parts = components_of(effects, num_videos=NUM_VIDEOS)
    assert math.sqrt(parts.std_error_squared(Plan(4, 4, NUM_VIDEOS))) == pytest.approx(
        effects.difference(0, 1).std_error
    )


def test_noise_is_at_most_what_the_seeds_vary_by() -> None:
    """Each seed gains in one half of the groups what it loses in the other one."""
    num_seeds, rng = 12, np.random.default_rng(0)
    prefers = rng.normal(0, 0.2, (2 * num_seeds, 1)) * np.repeat([1.0, -1.0], 10)
    values = rng.normal(0.5, 0.05, (2 * num_seeds, 20)) + prefers
    groups = [f"g{number}" for number in range(20)]
    effects = CrossedEffects.of(jackknife_of_means(values, groups), [0] * num_seeds + [1] * num_seeds)
    over_seeds = effects.seed_variance.mean()
    assert effects.noises[0] > 4 * over_seeds
    parts = components_of(effects, num_videos=20)
    assert parts.seed == 0
    assert over_seeds < parts.video / 20 < 1.5 * over_seeds
