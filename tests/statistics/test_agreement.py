"""Agreement with scipy, statsmodels and scikit-learn on what they compute too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score
from sklearn.model_selection import LeaveOneGroupOut
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.weightstats import ttost_paired

from vidcls.statistics.corrections import holm
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.jackknife import jackknife_of_means
from vidcls.statistics.power import Plan, VarianceComponents


def single_seeds(num_videos: int = 40) -> tuple[np.ndarray, CrossedEffects]:
    """Two runs of two configurations, each video a group of its own."""
    values = np.random.default_rng(1).normal([[0.6], [0.9]], 0.5, size=(2, num_videos))
    groups = [str(number) for number in range(num_videos)]
    return values, CrossedEffects.of(jackknife_of_means(values, groups), [0, 1])


def test_one_seed_and_groups_of_one_video_are_the_paired_t_test_of_scipy() -> None:
    values, effects = single_seeds()
    ours, theirs = effects.difference(0, 1), stats.ttest_rel(values[1], values[0])
    interval = theirs.confidence_interval()
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert (ours.low, ours.high, ours.dof) == pytest.approx((interval.low, interval.high, theirs.df))


def test_the_mean_of_one_run_is_the_t_test_of_scipy() -> None:
    values, effects = single_seeds()
    ours, theirs = effects.mean(1), stats.ttest_1samp(values[1], 0)
    interval = theirs.confidence_interval()
    assert (ours.low, ours.high, ours.p_value) == pytest.approx((interval.low, interval.high, theirs.pvalue))


def test_equivalence_is_that_of_statsmodels() -> None:
    values, effects = single_seeds()
    theirs, *_ = ttost_paired(values[1], values[0], -0.5, 0.5)
    assert effects.difference(0, 1).p_equivalent(0.5) == pytest.approx(theirs)


def test_videos_that_are_all_alike_leave_the_welch_test_over_seeds() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.7, 0.02, 3), rng.normal(0.75, 0.05, 6)
    values = np.tile(np.concatenate([first, second])[:, None], 12)
    groups = [f"g{number // 3}" for number in range(12)]
    effects = CrossedEffects.of(jackknife_of_means(values, groups), [0] * 3 + [1] * 6)
    ours, theirs = effects.difference(0, 1), stats.ttest_ind(second, first, equal_var=False)
    interval = theirs.confidence_interval()
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert (ours.low, ours.high, ours.dof) == pytest.approx((interval.low, interval.high, theirs.df))


@pytest.mark.parametrize("num_seeds", [2, 4])
def test_a_balanced_study_has_the_standard_error_of_the_mixed_model_of_statsmodels(num_seeds: int) -> None:
    num_groups, rng = 12, np.random.default_rng(3)
    seeds = rng.normal(0, 1.0, (2, num_seeds, 1))
    of_groups = rng.normal(0, 1.0, (1, 1, num_groups)) + rng.normal(0, 1.2, (2, 1, num_groups))
    values = seeds + of_groups + rng.normal(0, 0.7, (2, num_seeds, num_groups))
    names = [str(number) for number in range(num_groups)]
    members = np.repeat([0, 1], num_seeds)
    effects = CrossedEffects.of(jackknife_of_means(values.reshape(-1, num_groups), names), members.tolist())
    ours = effects.difference(0, 1)

    configuration, seed, group = (axis.ravel() for axis in np.indices(values.shape))
    frame = pd.DataFrame(
        {
            "value": values.ravel(),
            "configuration": configuration,
            "seed": configuration * num_seeds + seed,
            "group": group,
            "both": configuration * num_groups + group,
        }
    )
    parts = {name: f"0 + C({name})" for name in ("seed", "group", "both")}
    model = MixedLM.from_formula(
        "value ~ configuration", frame, groups=np.ones(len(frame)), vc_formula=parts, re_formula="0"
    )
    theirs = model.fit(reml=True, method="lbfgs")
    assert (theirs.vcomp > 0.01).all(), "with a component at zero, neither has a closed form"
    assert ours.value == pytest.approx(theirs.params["configuration"], rel=1e-6)
    assert ours.std_error == pytest.approx(theirs.bse["configuration"], rel=1e-3)


def test_accuracy_without_each_group_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    labels, predicted = rng.integers(0, 3, 30), rng.integers(0, 3, (2, 30))
    groups = [f"g{number}" for number in [*range(6), *rng.integers(0, 6, 24)]]
    found = jackknife_of_means((predicted == labels).astype(float), groups)
    np.testing.assert_allclose(found.values, [accuracy_score(labels, one) for one in predicted])
    kept = [rest for rest, _ in LeaveOneGroupOut().split(labels, groups=groups)]
    expected = [[accuracy_score(labels[rest], one[rest]) for one in predicted] for rest in kept]
    np.testing.assert_allclose(found.without, expected)


def test_holm_is_that_of_statsmodels() -> None:
    p_values = [0.04, 0.001, 0.3, 0.012, 0.012, 0.9]
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1])
    more = [*p_values, 1e-9, 1e-9]
    assert holm(p_values, num_comparisons=8)[1] >= multipletests(more, method="holm")[1][1]


@pytest.mark.parametrize("dof", [1.3, 4.0, 61.5, np.inf])
def test_intervals_and_p_values_are_those_of_student_in_scipy(dof: float) -> None:
    found = Estimate(0.8, 0.3, dof)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, dof, loc=0.8, scale=0.3))
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.8 / 0.3, dof), rel=1e-9)


@pytest.mark.parametrize(("difference", "num_groups"), [(0.05, 20), (0.1, 45), (0.03, 137)])
def test_power_of_one_seed_is_that_of_the_paired_t_test_of_statsmodels(
    difference: float, num_groups: int
) -> None:
    ours = VarianceComponents(0.04**2, 0.0, 0.25**2).power(difference, Plan(1, num_groups, num_groups))
    theirs = TTestPower().power(difference / 0.25, num_groups, 0.05)
    assert ours == pytest.approx(theirs, abs=0.002)


@pytest.mark.parametrize("num_seeds", [5, 10, 30])
def test_power_without_spread_over_groups_is_that_of_the_t_test_over_seeds(num_seeds: int) -> None:
    ours = VarianceComponents(0.04**2, 0.0, 0.0).power(0.04, Plan(num_seeds, 45, 120))
    theirs = TTestIndPower().power(1.0, num_seeds, 0.05)
    # Welch's test does not know that both spreads are equal, which costs it a little at few seeds.
    assert theirs - 0.025 < ours < theirs + 0.002
