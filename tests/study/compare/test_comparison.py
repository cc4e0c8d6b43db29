"""Comparisons of configurations by what their runs said, on plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.support.compared import GROUPS, LABELS, NUM_CLASSES, NUM_GROUPS, NUM_VIDEOS, logits_with
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.jackknife import jackknife_of_means
from vidcls.study.compare.comparison import MAX_ALL_PAIRS, Member, Question, Scored, compare_scored
from vidcls.study.compare.outlook import outlook
from vidcls.study.compare.results import Comparison, Ground


def compared(
    *shares: float,
    num_seeds: int = 3,
    noise: float = 0.1,
    groups: list[str] = GROUPS,
    logits: np.ndarray | None = None,
    **asked: Any,
) -> Comparison:
    """Compare configurations that are right for these shares of the videos."""
    if logits is None:
        each = [
            logits_with(share, seed=1000 * number + seed, noise=noise)
            for number, share in enumerate(shares)
            for seed in range(num_seeds)
        ]
        logits = np.stack(each).astype(np.float32)
    num_configurations = len(logits) // num_seeds
    scored = Scored(
        logits=logits,
        labels=np.array(LABELS),
        groups=tuple(groups),
        classes=tuple(f"class{k}" for k in range(NUM_CLASSES)),
        configurations=tuple(run // num_seeds for run in range(len(logits))),
    )
    members = [
        Member(label=f"c{n}", key=str(n), seeds=tuple(range(num_seeds)), runs=(), leak_state="clean")
        for n in range(num_configurations)
    ]
    ground = Ground(
        split="val",
        checkpoint="last",
        num_videos=NUM_VIDEOS,
        num_groups=len(set(groups)),
        unit="groups",
        num_ungrouped=0,
        leak_states=("clean",),
    )
    return compare_scored(scored, members, ground=ground, question=Question(**asked))


def test_a_better_configuration_is_called_better() -> None:
    found = compared(0.5, 0.9)
    (difference,) = found.differences
    assert difference.finding == "clear"
    assert found.verdict.startswith("c1 is better than c0 by ")
    assert [(one.best_rank, one.worst_rank) for one in found.configurations] == [(2, 2), (1, 1)]
    assert "3 seeds each, 120 val videos in 20 groups, clean data" in found.verdict


def test_equal_configurations_are_a_tie_and_equivalent() -> None:
    assert compared(0.7, 0.7, noise=0.01).verdict.startswith("tie: c1 minus c0 is ")
    assert compared(0.7, 0.7, noise=0.03, margin=0.05).differences[0].finding == "equivalent"


def test_a_run_against_itself_is_a_tie() -> None:
    same = np.stack([logits_with(0.7, seed=1)] * 2).astype(np.float32)
    (difference,) = compared(logits=same, num_seeds=1).differences
    assert (difference.estimate.value, difference.p_holm, difference.finding) == (0, 1, "tie")


def test_what_does_not_vary_is_not_certain() -> None:
    """Each of two groups gains the same; so it would in half of all studies, by signs alone."""
    two = ["a"] * (NUM_VIDEOS // 2) + ["b"] * (NUM_VIDEOS // 2)
    right = np.tile(np.arange(NUM_VIDEOS // 2), 2)
    labels = np.array(LABELS)
    logits = np.stack(
        [np.eye(NUM_CLASSES)[np.where(right < num, labels, (labels + 1) % NUM_CLASSES)] for num in (30, 36)]
    )
    found = compared(logits=logits.astype(np.float32), num_seeds=1, groups=two)
    (difference,) = found.differences
    assert (difference.estimate.p_value, difference.finding) == (0.5, "too little evidence")
    assert "B is better" not in found.verdict
    assert "(no interval: all seeds and groups of videos agree, which may be chance)" in found.verdict
    content = found.as_dict()
    assert (content["differences"][0]["low"], content["configurations"][0]["top1"]["high"]) == (None, None)


def test_the_same_answers_of_few_groups_are_not_shown_to_be_equivalent() -> None:
    same = np.stack([logits_with(0.7, seed=1)] * 2).astype(np.float32)
    (difference,) = compared(logits=same, num_seeds=1, margin=0.05).differences
    assert difference.p_equivalent == pytest.approx(0.95**NUM_GROUPS)
    assert difference.finding == "too little evidence"
    assert compared(logits=same, num_seeds=1, margin=0.15).differences[0].finding == "equivalent"


def test_seeds_that_agree_by_chance_are_not_certain() -> None:
    """Both seeds of each configuration have the same accuracy, on other videos: no part of the variance is left."""
    groups = [str(video // 2) for video in range(20)]
    ten, twelve = np.arange(20) % 10 < 5, np.arange(20) % 10 < 6
    values = np.stack([ten, ten[::-1], twelve, twelve[::-1]]).astype(np.float64)
    effects = CrossedEffects.of(jackknife_of_means(values, groups), [0, 0, 1, 1])
    found = effects.difference(0, 1)
    assert found.std_error == pytest.approx(
        (values[2:].mean(0) - values[:2].mean(0)).reshape(10, 2).mean(1).std() / 3
    )
    assert found.p_value > 0.1


def test_what_is_enough_for_a_larger_difference_is_not_asked_for_again() -> None:
    logits = [logits_with(share, seed=seed, noise=0.1) for share in (0.7, 0.8) for seed in range(5)]
    right = (np.stack(logits).argmax(axis=2) == LABELS).astype(float)
    effects = CrossedEffects.of(jackknife_of_means(right, GROUPS), [0] * 5 + [1] * 5)
    said = [
        outlook(effects, (0, 1), num_videos=NUM_VIDEOS, difference=wanted, alpha=0.05)
        for wanted in (0.02, 0.2)
    ]
    assert "seeds each" in said[0]
    assert said[1] == "these seeds are enough to tell 20 points apart, but too few for a smaller difference"


def test_few_noisy_seeds_are_too_little_evidence_with_what_would_be_enough() -> None:
    said = compared(0.7, 0.75, num_seeds=2, noise=0.6).verdict
    assert said.startswith("too little evidence: c1 minus c0 is ")
    assert "5 points apart" in said


def test_ranks_hold_what_is_not_known() -> None:
    found = compared(0.4, 0.9, 0.9, 0.4)
    assert [one.label for one in found.configurations[:2]] in (["c1", "c2"], ["c2", "c1"])
    assert [(one.best_rank, one.worst_rank) for one in found.configurations] == [(1, 2)] * 2 + [(3, 4)] * 2
    assert len(found.differences) == 6
    assert found.num_comparisons == 6


def test_of_many_configurations_only_the_pairs_with_the_best_are_listed() -> None:
    shares = np.linspace(0.3, 0.9, MAX_ALL_PAIRS + 1)
    found = compared(*shares, num_seeds=2)
    best = found.configurations[0].label
    assert len(found.differences) == MAX_ALL_PAIRS
    assert {one.second for one in found.differences} == {best}
    assert found.num_comparisons == (MAX_ALL_PAIRS + 1) * MAX_ALL_PAIRS // 2
    assert all(one.estimate.value >= 0 for one in found.differences)


def test_earlier_looks_at_test_make_p_values_larger() -> None:
    alone, many = compared(0.7, 0.8), compared(0.7, 0.8, num_compared=10)
    assert many.num_comparisons == 45
    p_value = alone.differences[0].p_holm
    assert many.differences[0].p_holm == pytest.approx(min(1, 45 * p_value))
    (remark,) = [each for each in many.remarks if "scored on this test split" in each]
    assert "Intervals are not corrected: an interval without zero may still be no clear difference" in remark
    within = compared(0.7, 0.8, num_compared=10, margin=0.05).remarks
    assert any("Intervals and the p-values of the margin are not corrected" in each for each in within)


def test_mcnemar_is_that_of_scipy_and_of_statsmodels() -> None:
    logits = np.stack([logits_with(share, seed=n, noise=0.5) for n, share in enumerate((0.6, 0.75))])
    (pair,) = compared(logits=logits.astype(np.float32), num_seeds=1).checkpoint_pairs
    right = logits.argmax(axis=2) == LABELS
    assert pair.only_first == (right[0] & ~right[1]).sum()
    assert pair.only_second == (right[1] & ~right[0]).sum()
    assert pair.p_value == pytest.approx(
        binomtest(pair.only_first, pair.only_first + pair.only_second).pvalue
    )
    tables = pytest.importorskip("statsmodels.stats.contingency_tables", reason="needs statsmodels")
    table = [[0, pair.only_first], [pair.only_second, 0]]
    assert pair.p_value == pytest.approx(tables.mcnemar(table, exact=True).pvalue)
    assert compared(0.6, 0.75, num_seeds=2).checkpoint_pairs == ()


def test_differences_of_classes_are_over_the_groups_that_have_them() -> None:
    groups = ["only" if label == 0 else group for label, group in zip(LABELS, GROUPS, strict=True)]
    found = compared(0.5, 0.9, groups=groups)
    first, *others = found.classes
    assert (first.num_groups, first.estimate, first.p_holm) == (1, None, None)
    assert [one.num_groups for one in others] == [NUM_GROUPS] * 2
    assert all(one.estimate is not None and one.p_holm is not None for one in others)
    assert "no interval for classes whose videos are all in one group: class0" in found.remarks
    row = found.as_dict()["per_class"]["classes"][0]
    assert (row["low"], row["high"], row["p_value"]) == (None, None, None)
    assert row["value"] == pytest.approx(first.second - first.first)


def test_classes_in_which_nothing_varies_are_named() -> None:
    """Both configurations get all videos of class 1 right, and one of them none of class 2."""
    second = np.array(LABELS)
    first = np.where(second == 2, 0, second)
    logits = np.stack([np.eye(NUM_CLASSES)[said] for said in (first, first, second, second)])
    found = compared(logits=logits.astype(np.float32), num_seeds=2)
    rows = found.as_dict()["per_class"]["classes"]
    assert [(row["low"], row["high"]) for row in rows] == [(None, None)] * 3
    assert [row["value"] for row in rows] == [0, 0, 1]
    assert (
        "no interval for classes in which all seeds and groups of videos agree, which may be chance: "
        "class0, class1, class2"
    ) in found.remarks


def test_few_groups_are_warned_of() -> None:
    nine = [f"group{video % 9}" for video in range(NUM_VIDEOS)]
    assert any(
        "intervals of fewer than 10 may be too short" in r for r in compared(0.5, 0.9, groups=nine).remarks
    )
    assert not any("too short" in remark for remark in compared(0.5, 0.9).remarks)


@pytest.mark.parametrize("metric", ["top1", "mean_class_acc", "macro_f1"])
def test_the_metric_decides(metric: Any) -> None:
    found = compared(0.5, 0.9, metric=metric)
    first, second = (one.scores[metric].value for one in found.configurations)
    assert found.differences[0].estimate.value == pytest.approx(second - first)


def test_intervals_of_shares_stay_within_them() -> None:
    content = compared(0.95, 0.99, noise=0.05).as_dict()
    for one in content["configurations"]:
        low, high = one["top1"]["low"], one["top1"]["high"]
        assert low is None or 0 <= low <= one["top1"]["value"] <= high <= 1
