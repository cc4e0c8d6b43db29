"""Scores of runs as functions of sums over groups of videos, so that each has an interval by the jackknife.

The rules are those of `vidcls.evaluate.metrics`: of equal logits the lower class index wins, a class without
a video is left out of means over classes, and one that is never predicted has F1 zero.

Axes: R runs, N videos, K classes, G groups, S sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidcls.arrays import Floats, Ints
from vidcls.statistics.jackknife import Jackknife, jackknife, jackknife_of_means

NUM_BINS = 15
"""Number of bins of the calibration error, all of one width."""
_MAX_SUMS = 2**24
"""Largest number of sums in memory at a time (128 MiB)."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What runs said of the same videos.

    Attributes:
        labels: True classes, `[N]`.
        predicted: Predicted classes, `[R, N]`.
        losses: Cross entropy of each video in nats, `[R, N]`.
        confidences: Probability of the predicted class, `[R, N]`.
        num_classes: K.
    """

    labels: Ints
    predicted: Ints
    losses: Floats
    confidences: Floats
    num_classes: int

    @classmethod
    def of(cls, logits: NDArray[np.floating], labels: Ints) -> Answers:
        """Answers from logits `[R, N, K]` and true classes `[N]`."""
        num_runs, num_videos, num_classes = logits.shape
        predicted = np.argmax(logits, axis=2)
        losses, confidences = np.empty((2, num_runs, num_videos))
        for run, of_run in enumerate(logits):  # one run at a time, since float64 takes twice the memory
            shifted = of_run.astype(np.float64)
            shifted -= shifted.max(axis=1, keepdims=True)
            log_sum = np.log(np.exp(shifted).sum(axis=1))
            losses[run] = log_sum - shifted[np.arange(num_videos), labels]
            confidences[run] = np.exp(-log_sum)  # the largest logit was shifted to zero
        return cls(labels, predicted, losses, confidences, num_classes)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the true one, `[R, N]`."""
        return np.asarray(self.predicted == self.labels)


def top1(answers: Answers, groups: Sequence[str]) -> Jackknife:
    """Share of videos with the right class."""
    return jackknife_of_means(answers.correct.astype(np.float64), groups)


def loss(answers: Answers, groups: Sequence[str]) -> Jackknife:
    """Mean cross entropy in nats, which is also called log loss."""
    return jackknife_of_means(answers.losses, groups)


def mean_class_acc(answers: Answers, groups: Sequence[str]) -> Jackknife:
    """Mean over classes of the share of right videos of the class."""
    return _of_classes(answers, groups, class_acc_of_sums)


def macro_f1(answers: Answers, groups: Sequence[str]) -> Jackknife:
    """Mean over classes of F1."""
    return _of_classes(answers, groups, macro_f1_of_sums)


def calibration_error(answers: Answers, groups: Sequence[str]) -> Jackknife:
    """Expected calibration error over bins of one width (Guo et al. 2017, arXiv:1706.04599).

    Videos are binned by the probability of the predicted class; a bin's error is the distance of its mean
    probability from its share of right videos, and counts by its number of videos. Few videos make it too
    large, since each bin's share is then mostly chance.
    """
    bins = np.clip(np.ceil(answers.confidences * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    gaps = answers.confidences - answers.correct
    member, num_groups = _numbered(groups)

    def sums(part: slice) -> Floats:
        count = _sums(member, num_groups, np.zeros_like(bins[part]), size=1)
        return np.concatenate(
            [_sums(member, num_groups, bins[part], size=NUM_BINS, weights=gaps[part]), count], 2
        )

    return _in_parts(sums, calibration_error_of_sums, num_runs=len(bins), size=num_groups * (NUM_BINS + 1))


SCORES: Mapping[str, Callable[[Answers, Sequence[str]], Jackknife]] = {
    "top1": top1,
    "mean_class_acc": mean_class_acc,
    "macro_f1": macro_f1,
    "loss": loss,
    "ece": calibration_error,
}
"""Scores by their names in results."""


def class_acc_of_sums(sums: Floats) -> Floats:
    """Mean class accuracy from numbers of right, true and predicted videos of each class, `[..., 3 K]`."""
    right, support, _ = np.split(sums, 3, axis=-1)
    return _mean_over_present(right / np.maximum(support, 1), support)


def macro_f1_of_sums(sums: Floats) -> Floats:
    """Macro F1 from numbers of right, true and predicted videos of each class, `[..., 3 K]`."""
    right, support, claimed = np.split(sums, 3, axis=-1)
    return _mean_over_present(2 * right / np.maximum(support + claimed, 1), support)


def calibration_error_of_sums(sums: Floats) -> Floats:
    """Calibration error from the summed gap of each bin and the number of videos, `[..., bins + 1]`."""
    return np.asarray(np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1])


def _mean_over_present(values: Floats, support: Floats) -> Floats:
    present = support > 0
    return np.asarray(np.where(present, values, 0.0).sum(axis=-1) / present.sum(axis=-1))


def _of_classes(answers: Answers, groups: Sequence[str], statistic: Callable[[Floats], Floats]) -> Jackknife:
    member, num_groups = _numbered(groups)
    labels = np.broadcast_to(answers.labels, answers.predicted.shape)
    num_classes, correct = answers.num_classes, answers.correct.astype(np.float64)

    def sums(part: slice) -> Floats:
        right = _sums(member, num_groups, labels[part], size=num_classes, weights=correct[part])
        support = _sums(member, num_groups, labels[part], size=num_classes)
        claimed = _sums(member, num_groups, answers.predicted[part], size=num_classes)
        return np.concatenate([right, support, claimed], axis=2)

    return _in_parts(sums, statistic, num_runs=len(labels), size=num_groups * 3 * num_classes)


def _numbered(groups: Sequence[str]) -> tuple[Ints, int]:
    names, member = np.unique(np.array(groups), return_inverse=True)
    return member, len(names)


def _sums(member: Ints, num_groups: int, cells: Ints, *, size: int, weights: Floats | None = None) -> Floats:
    """Sums of weights (None counts) of each group, run and cell, `[G, R, size]`, for cells `[R, N]`."""
    num_runs = len(cells)
    flat = (member * num_runs + np.arange(num_runs)[:, None]) * size + cells
    counted = np.bincount(
        flat.ravel(),
        weights=None if weights is None else weights.ravel(),
        minlength=num_groups * num_runs * size,
    )
    return counted.reshape(num_groups, num_runs, size).astype(np.float64)


def _in_parts(
    sums: Callable[[slice], Floats], statistic: Callable[[Floats], Floats], *, num_runs: int, size: int
) -> Jackknife:
    """Jackknife of a few runs at a time, because the sums of all would fill the memory."""
    at_once = max(1, _MAX_SUMS // size)
    parts = [
        jackknife(sums(slice(start, start + at_once)), statistic) for start in range(0, num_runs, at_once)
    ]
    return Jackknife(
        np.concatenate([part.values for part in parts]), np.concatenate([part.without for part in parts], 1)
    )
