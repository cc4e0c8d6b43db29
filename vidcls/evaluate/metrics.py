"""Metrics from stored logits and labels.

The same rules hold everywhere: classes are ranked by logit, and for equal logits the lower class index comes
first. A class without a video in the split is left out of the means over classes, since it cannot be
measured. A class that is never predicted has precision and F1 of zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidcls.errors import VidclsError


@dataclass(frozen=True)
class ClassMetrics:
    """Row of the per-class table; recall is the accuracy of the class, None if it has no video."""

    name: str
    support: int
    precision: float
    recall: float | None
    f1: float | None


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics of a split; shares are 0 to 1.

    Attributes:
        num_videos: Number of scored videos.
        loss: Mean cross entropy in nats, without label smoothing.
        top1: Share of videos whose true class ranks first.
        top5: Share of videos whose true class is among the first five, or among all if there are fewer.
        mean_class_acc: Mean over classes of the share of correct videos.
        macro_f1: Mean over classes of F1.
        per_class: One entry per class, in label order.
        confusion: Counts, int64 `[K true, K predicted]`.
    """

    num_videos: int
    loss: float
    top1: float
    top5: float
    mean_class_acc: float
    macro_f1: float
    per_class: tuple[ClassMetrics, ...]
    confusion: np.ndarray

    def named(self, split: str) -> dict[str, float]:
        """Scalar metrics under the names of `metrics.jsonl`, such as `val/top1`."""
        names = ("loss", "top1", "top5", "macro_f1", "mean_class_acc")
        return {f"{split}/{name}": getattr(self, name) for name in names}


def compute_metrics(logits: np.ndarray, labels: np.ndarray, *, classes: Sequence[str]) -> Metrics:
    """Compute all metrics of a split.

    Args:
        logits: float `[N, K]`, one row per video.
        labels: int `[N]`, the true classes.
        classes: K class names in label order.

    Raises:
        VidclsError: If there is no video, or a logit is not finite.
    """
    num_videos, num_classes = logits.shape
    assert labels.shape == (num_videos,)
    assert num_classes == len(classes)
    if num_videos == 0:
        raise VidclsError("no video was scored, so there are no metrics")
    if not np.isfinite(logits).all():
        raise VidclsError(
            "the logits of the model are not finite, because its training diverged; lower optim.lr"
        )

    ranks = rank_of_label(logits, labels)
    confusion = confusion_counts(logits, labels)
    right, support, claimed = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = right / np.maximum(claimed, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + claimed, 1)
    present = support > 0
    return Metrics(
        num_videos=num_videos,
        loss=_cross_entropy(logits, labels),
        top1=float(np.mean(ranks < 1)),
        top5=float(np.mean(ranks < 5)),
        mean_class_acc=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        per_class=tuple(
            ClassMetrics(
                name=name,
                support=int(support[k]),
                precision=float(precision[k]),
                recall=float(recall[k]) if present[k] else None,
                f1=float(f1[k]) if present[k] else None,
            )
            for k, name in enumerate(classes)
        ),
        confusion=confusion,
    )


def split_metrics(logits: np.ndarray, labels: np.ndarray, *, split: str) -> dict[str, float]:
    """Scalar metrics of `compute_metrics`, under names such as `val/top1`."""
    return compute_metrics(logits, labels, classes=[""] * logits.shape[1]).named(split)


def confusion_counts(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Confusion matrix, int64 `[K true, K predicted]`."""
    num_classes = logits.shape[1]
    cells = labels * num_classes + top_classes(logits, k=1)[:, 0]
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    return np.asarray(counts, dtype=np.int64)


def top_classes(logits: np.ndarray, *, k: int) -> np.ndarray:
    """Best `k` classes of each row, best first, int64 `[N, min(k, K)]`."""
    return np.argsort(-logits, axis=1, kind="stable")[:, :k]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits `[..., K]`, float64 of the same shape."""
    wide = logits.astype(np.float64)
    shares = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def rank_of_label(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Number of classes that rank before the true class, int64 `[N]`; 0 is a correct prediction."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    lower_index = np.arange(logits.shape[1]) < labels[:, None]
    before = (logits > own) | ((logits == own) & lower_index)
    return np.asarray(before.sum(axis=1))


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    # In float64, shifted by the largest logit, so that exponentials neither overflow nor lose small terms.
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    own = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - own))
