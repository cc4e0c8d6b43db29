"""Scores as functions of sums: equal to the metrics of an evaluation, and to those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.arrays import Floats, Ints
from vidcls.evaluate.metrics import compute_metrics, softmax
from vidcls.statistics import scores
from vidcls.statistics.scores import SCORES, Answers


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, Ints, list[str]]:
    """Logits `[R, N, K]` with ties, labels among which classes may be absent, two or more groups."""
    num_runs, num_videos, num_classes = (
        draw(st.integers(low, high)) for low, high in ((1, 3), (2, 9), (2, 5))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.integers(-3, 4, (num_runs, num_videos, num_classes)).astype(np.float32)
    groups = ["first", "second", *rng.choice(["first", "second", "third"], num_videos - 2)]
    return logits, rng.integers(0, num_classes, num_videos), groups


@given(cases())
def test_scores_are_the_metrics_of_an_evaluation(case: tuple[np.ndarray, Ints, list[str]]) -> None:
    logits, labels, groups = case
    answers = Answers.of(logits, labels)
    names = [""] * logits.shape[2]
    for name in ("top1", "mean_class_acc", "macro_f1", "loss"):
        found = SCORES[name](answers, groups)
        wanted = [getattr(compute_metrics(each, labels, classes=names), name) for each in logits]
        assert found.values == pytest.approx(wanted)
        # Without a group, a score is that of the other videos alone.
        for left_out, values in zip(sorted(set(groups)), found.without, strict=True):
            kept = np.array(groups) != left_out
            rest = [compute_metrics(each[kept], labels[kept], classes=names) for each in logits]
            assert values == pytest.approx([getattr(each, name) for each in rest])


@given(cases())
def test_calibration_error_is_that_of_its_definition(case: tuple[np.ndarray, Ints, list[str]]) -> None:
    logits, labels, groups = case
    found = SCORES["ece"](Answers.of(logits, labels), groups)
    for each, value in zip(logits, found.values, strict=True):
        assert value == pytest.approx(_calibration_error(softmax(each), labels), abs=1e-6)


def _calibration_error(probabilities: Floats, labels: Ints) -> float:
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    error = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            gap = confidence[inside].mean() - (predicted == labels)[inside].mean()
            error += float(inside.mean() * abs(gap))
    return error


def test_scores_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 80, 4)).astype(np.float32), rng.integers(0, 4, 80)
    groups = [str(group) for group in rng.integers(0, 9, 80)]
    answers = Answers.of(logits, labels)
    for run in range(2):
        predicted, chances = logits[run].argmax(axis=1), softmax(logits[run])
        wanted = {
            "top1": metrics.accuracy_score(labels, predicted),
            "mean_class_acc": metrics.balanced_accuracy_score(labels, predicted),
            "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
            "loss": metrics.log_loss(labels, chances, labels=range(4)),
        }
        for name, value in wanted.items():
            assert SCORES[name](answers, groups).values[run] == pytest.approx(value)


def test_runs_in_parts_give_what_they_give_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    answers = Answers.of(rng.normal(size=(7, 20, 3)), rng.integers(0, 3, 20))
    groups = [str(group) for group in rng.integers(0, 5, 20)]
    whole = {name: score(answers, groups) for name, score in SCORES.items()}
    monkeypatch.setattr(scores, "_MAX_SUMS", 100)
    for name, score in SCORES.items():
        part = score(answers, groups)
        assert part.values.tolist() == whole[name].values.tolist()
        assert part.without.tolist() == whole[name].without.tolist()
