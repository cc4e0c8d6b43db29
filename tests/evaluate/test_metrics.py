"""Metrics against independent computations, in plain loops and in PyTorch."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidcls.errors import VidclsError
from vidcls.evaluate.metrics import (
    compute_metrics,
    confusion_counts,
    rank_of_label,
    split_metrics,
    top_classes,
)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Logits with many ties, and labels among which classes may be absent."""
    num_videos, num_classes = draw(st.integers(1, 12)), draw(st.integers(2, 8))
    cells = num_videos * num_classes
    values = draw(st.lists(st.integers(-3, 3), min_size=cells, max_size=cells))
    labels = draw(st.lists(st.integers(0, num_classes - 1), min_size=num_videos, max_size=num_videos))
    logits = np.array(values, dtype=np.float32).reshape(num_videos, num_classes)
    return logits, np.array(labels, dtype=np.int64)


def _names(logits: np.ndarray) -> list[str]:
    return [f"class{k}" for k in range(logits.shape[1])]


@given(scored())
def test_ranking_breaks_ties_by_the_lower_class(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    orders = [sorted(range(len(row)), key=lambda k: (-row[k], k)) for row in logits.tolist()]
    assert top_classes(logits, k=3).tolist() == [order[:3] for order in orders]
    assert rank_of_label(logits, labels).tolist() == [
        order.index(label) for order, label in zip(orders, labels.tolist(), strict=True)
    ]
    metrics = compute_metrics(logits, labels, classes=_names(logits))
    for k, share in ((1, metrics.top1), (5, metrics.top5)):
        hits = [label in order[:k] for order, label in zip(orders, labels.tolist(), strict=True)]
        assert share == pytest.approx(fmean(hits))


@given(scored())
def test_class_metrics_agree_with_counting(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    predicted = [max(range(len(row)), key=lambda k: (row[k], -k)) for row in logits.tolist()]
    pairs = list(zip(labels.tolist(), predicted, strict=True))
    metrics = compute_metrics(logits, labels, classes=_names(logits))
    assert metrics.num_videos == len(labels)
    assert [one.name for one in metrics.per_class] == _names(logits)
    recalls, f1s = [], []
    for k, one in enumerate(metrics.per_class):
        support = sum(true == k for true, _ in pairs)
        claimed = sum(guess == k for _, guess in pairs)
        right = pairs.count((k, k))
        assert one.support == support
        assert one.precision == pytest.approx(right / claimed if claimed else 0.0)
        if support == 0:
            assert one.recall is None
            assert one.f1 is None
            continue
        recalls.append(right / support)
        f1s.append(2 * right / (support + claimed))
        assert one.recall == pytest.approx(recalls[-1])
        assert one.f1 == pytest.approx(f1s[-1])
    assert metrics.mean_class_acc == pytest.approx(fmean(recalls))
    assert metrics.macro_f1 == pytest.approx(fmean(f1s))
    counted = [[pairs.count((t, p)) for p in range(logits.shape[1])] for t in range(logits.shape[1])]
    assert metrics.confusion.tolist() == counted == confusion_counts(logits, labels).tolist()


@given(scored(), st.sampled_from([1.0, 1e-4, 300.0]))
def test_loss_is_cross_entropy(case: tuple[np.ndarray, np.ndarray], scale: float) -> None:
    logits, labels = case[0] * np.float32(scale), case[1]
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels))
    assert compute_metrics(logits, labels, classes=_names(logits)).loss == pytest.approx(
        expected.item(), abs=1e-9
    )


def test_the_first_five_of_eight_are_the_top_five() -> None:
    metrics = compute_metrics(-np.tile(np.arange(8.0), (8, 1)), np.arange(8), classes=list("abcdefgh"))
    assert (metrics.top1, metrics.top5) == (1 / 8, 5 / 8)


def test_the_loss_of_a_video_does_not_depend_on_the_size_of_the_logits_of_another() -> None:
    logits = np.array([[2000.0, 0.0], [-2000.0, -2001.0]])
    found = compute_metrics(logits, np.array([0, 0]), classes=["a", "b"]).loss
    assert found == pytest.approx(np.log1p(np.exp(-1)) / 2)


def test_names_are_the_fixed_ones() -> None:
    logits = np.eye(3, dtype=np.float32)
    labels = np.array([0, 1, 1])
    named = split_metrics(logits, labels, split="val")
    assert set(named) == {"val/loss", "val/top1", "val/top5", "val/macro_f1", "val/mean_class_acc"}
    assert named["val/top1"] == pytest.approx(2 / 3)
    assert named["val/top5"] == 1.0
    assert named["val/mean_class_acc"] == pytest.approx(3 / 4)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((0, 3)), "no video was scored, so there are no metrics"),
        (
            np.array([[0.0, 1.0, 0.0], [0.0, np.nan, 0.0]]),
            "the logits of the model are not finite, because its training diverged; lower optim.lr",
        ),
    ],
)
def test_what_has_no_metrics_is_refused(logits: np.ndarray, message: str) -> None:
    with pytest.raises(VidclsError) as caught:
        compute_metrics(logits, np.zeros(len(logits), np.int64), classes=["a", "b", "c"])
    assert str(caught.value) == message
