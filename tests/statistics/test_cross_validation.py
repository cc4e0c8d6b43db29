"""Intervals of cross-validations and of pairs of trainings: by hand, against SciPy, and on known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.folds import Row, fold_row, leak_row, trained_row
from benchmarks.simulated_folds import FoldDesign, LeakDesign, draw_folds
from vidcls.statistics.cross_validation import cross_validated_mean
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.jackknife import effective_groups
from vidcls.statistics.paired_splits import mean_difference_of_pairs

_NUM_STUDIES = 400
# Three standard errors of a coverage of 95 % over so many studies, beside 93 and 97 %.
_LEAST, _MOST = 93 - 3.3, 97 + 3.3


def cross_validation(seed: int, num_seeds: int = 2) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Values, folds and groups of a cross-validation with trainings that spread."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, size=12)
    member = np.repeat(np.arange(12), sizes)
    folds = np.stack([draw_folds(sizes, 4, rng)[member] for _ in range(num_seeds)])
    values = rng.normal(size=folds.shape) + rng.normal(size=12)[member]
    values += np.take_along_axis(rng.normal(size=(num_seeds, 4)), folds, axis=1)
    return values, folds, [f"g{number:02d}" for number in member]


def as_tuple(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.std_error, estimate.dof


def test_with_a_fold_for_each_group_it_is_the_t_test_over_groups_of_scipy() -> None:
    rng = np.random.default_rng(0)
    member = np.repeat(np.arange(9), 4)
    values = rng.normal(0.3, 1, size=9)[member] + rng.normal(size=36)
    found = cross_validated_mean(values[None], member[None], [f"g{number}" for number in member])
    means = values.reshape(9, 4).mean(axis=1)
    theirs = stats.ttest_1samp(means, 0.0)
    interval = theirs.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(theirs.pvalue)


def test_what_folds_vary_beyond_their_groups_is_the_part_of_the_trainings() -> None:
    """By hand: groups of two videos that agree, in folds of two groups, one training of which is worse."""
    member = np.repeat(np.arange(8), 2)
    folds = member // 2
    of_group = np.array([0.5, 0.7, 0.6, 0.6, 0.4, 0.8, 0.1, 0.3])
    found = cross_validated_mean(of_group[member][None], folds[None], [str(number) for number in member])
    of_fold = of_group.reshape(4, 2).mean(axis=1)
    by_groups, by_folds = of_group.var(ddof=1) / 8, of_fold.var(ddof=1) / 4
    assert by_folds > by_groups
    assert found.std_error == pytest.approx(math.sqrt(by_folds))
    excess = by_folds - by_groups
    dof = by_folds**2 / (by_groups**2 / 7 + excess**2 / (3 * excess / by_folds))
    assert found.dof == pytest.approx(dof)


def test_folds_that_vary_less_than_their_groups_leave_the_groups() -> None:
    member = np.repeat(np.arange(8), 2)
    of_group = np.array([0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 0.1, 0.9])
    found = cross_validated_mean(of_group[member][None], (member // 2)[None], [str(n) for n in member])
    assert found.std_error == pytest.approx(math.sqrt(of_group.var(ddof=1) / 8))
    assert found.dof == pytest.approx(7)


def test_more_fold_seeds_share_the_part_of_the_trainings_and_not_that_of_the_groups() -> None:
    """The same folds again and again, with trainings that shift whole folds to and fro."""
    member = np.repeat(np.arange(12), 3)
    folds = np.tile(member // 3, (4, 1))
    rng = np.random.default_rng(1)
    shifts = rng.normal(size=(4, 4))[:, member // 3]
    groups = [f"g{number:02d}" for number in member]
    alone = [cross_validated_mean(shift[None], folds[:1], groups).std_error ** 2 for shift in shifts]
    together = cross_validated_mean(shifts, folds, groups).std_error ** 2
    assert together < 0.6 * float(np.mean(alone))
    same = rng.normal(size=12)[member]
    once = cross_validated_mean(same[None], folds[:1], groups)
    again = cross_validated_mean(np.tile(same, (4, 1)), folds, groups)
    assert again.std_error >= 0.95 * np.sqrt(same[::3].var(ddof=1) / 12)
    assert again.value == pytest.approx(once.value)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_names_and_orders_change_nothing_and_values_scale(seed: int, num_seeds: int) -> None:
    values, folds, groups = cross_validation(seed, num_seeds)
    found = as_tuple(cross_validated_mean(values, folds, groups))
    order = np.random.default_rng(seed).permutation(len(groups))
    renamed = [f"other {groups[index]}" for index in order]
    again = cross_validated_mean(values[:, order], 7 - folds[:, order], renamed)
    assert as_tuple(again) == pytest.approx(found)
    scaled = cross_validated_mean(-3 * values + 1, folds, groups)
    assert as_tuple(scaled) == pytest.approx((1 - 3 * found[0], 3 * found[1], found[2]))


def test_videos_that_are_all_alike_have_no_error() -> None:
    values, folds, groups = cross_validation(0)
    found = cross_validated_mean(np.ones_like(values), folds, groups)
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_the_effective_number_of_groups() -> None:
    assert effective_groups(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_groups(np.array([1e9, 1.0, 1.0])) == pytest.approx(1)
    assert effective_groups(np.array([2.0, 1.0, 1.0])) == pytest.approx(16 / 6)


def test_pairs_on_splits_of_their_own_groups_are_the_t_test_over_pairs() -> None:
    """No group is scored twice, so the pairs are independent."""
    rng = np.random.default_rng(2)
    first, second = np.full((2, 6, 48), np.nan)
    for pair in range(6):
        first[pair, 8 * pair : 8 * pair + 4] = rng.normal(0.5, 1, size=4)
        second[pair, 8 * pair + 4 : 8 * pair + 8] = rng.normal(0, 1, size=4)
    found = mean_difference_of_pairs(first, second, [f"g{n // 2:02d}" for n in range(48)])
    differences = np.nanmean(first, axis=1) - np.nanmean(second, axis=1)
    assert found.value == pytest.approx(differences.mean())
    assert found.std_error == pytest.approx(differences.std(ddof=1) / math.sqrt(6), rel=1e-6)


def test_a_split_that_is_scored_again_and_again_is_still_one_split() -> None:
    """All pairs agree: what is left is the error of a single pair over its groups."""
    rng = np.random.default_rng(3)
    one, two = rng.normal(0.4, 1, size=(2, 20))
    groups = [f"g{number:02d}" for number in range(20)]
    found = mean_difference_of_pairs(np.tile(one, (10, 1)), np.tile(two, (10, 1)), groups)
    theirs = stats.ttest_rel(one, two).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def hits(row: Row, *names: str) -> list[float]:
    return [row.coverage[name] for name in names]


@pytest.mark.parametrize(
    "design",
    [
        FoldDesign(10, num_folds=5, num_fold_seeds=1, spread=0.04),
        FoldDesign(45, num_folds=5, num_fold_seeds=3, spread=0.0),
        FoldDesign(137, num_folds=5, num_fold_seeds=1, spread=0.04),
    ],
    ids=str,
)
def test_intervals_of_cross_validations_cover_the_truth(design: FoldDesign) -> None:
    row = fold_row(design, _NUM_STUDIES)
    for found in hits(row, "accuracy", "difference"):
        assert _LEAST <= found <= _MOST
    if design.num_groups == 137:
        (groups_alone,) = hits(row, "by groups alone")
        assert groups_alone < _LEAST, "it does not see that all videos of a fold share one training"


def test_intervals_cover_the_truth_of_classifiers_that_are_really_trained() -> None:
    row = trained_row(45, 1, _NUM_STUDIES)
    for found in hits(row, "accuracy", "difference"):
        assert _LEAST <= found <= _MOST


@pytest.mark.parametrize("is_own", [True, False], ids=["own split", "random splits"])
def test_intervals_of_leaks_cover_the_truth(is_own: bool) -> None:
    row = leak_row(LeakDesign(45, 120, 10, is_own_split=is_own, spread=0.04), _NUM_STUDIES)
    (ours, pairs_alone) = hits(row, "inflation", "by pairs alone")
    assert _LEAST <= ours <= _MOST
    assert pairs_alone < ours - 3, "ten pairs on one pool of groups are not ten pools"
    if is_own:
        assert pairs_alone < _LEAST, "ten pairs on one split are not ten splits"
