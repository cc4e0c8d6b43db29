"""Simulated studies of `vidcls crossval` and `vidcls leak`, whose truth is known.

A training answers a video correctly if a sum of normal effects is above zero:

    level + group + specification-by-group + video + training + rest

so that the expected accuracy over groups, videos and trainings is one value of the normal distribution. In
`trained_studies` nothing is assumed of the dependence between folds: real classifiers are trained on features
whose groups share an offset, and the truth is measured on trainings and groups of their own.

Axes: A specs or arms, F fold seeds, J pairs, G groups, N videos.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.stats import norm

from vidcls.arrays import Floats, Ints

# Variances; they add up to 1 without the training.
_GROUP, _VIDEO, _SPEC_BY_GROUP, _REST = 0.25, 0.3, 0.1, 0.35
# Videos of a group, as often as among the 109 groups of ufc10's clean training split.
_SIZES = np.repeat([1, 2, 3, 4, 5, 6], [14, 25, 33, 29, 7, 1])
_NUM_CLASSES, _NUM_FEATURES, _CLASS_SPREAD, _GROUP_SPREAD = 4, 12, 0.55, 0.8

Sizes = Literal["equal", "ufc10", "very unequal"]


@dataclass(frozen=True, eq=False)
class FoldStudy:
    """Answers of a simulated cross-validation.

    Attributes:
        correct: 1 where a video was classified correctly, else 0, `[A, F, N]`.
        folds: Fold of each video, `[F, N]`.
        groups: Group of each video.
        truths: Expected accuracy of each spec.
    """

    correct: Floats
    folds: Ints
    groups: list[str]
    truths: tuple[float, ...]


@dataclass(frozen=True)
class FoldDesign:
    """What the simulated cross-validations of a cell have in common.

    Attributes:
        num_groups: G.
        num_folds: Number of folds of each fold seed.
        num_fold_seeds: F.
        spread: Standard deviation over trainings of the expected accuracy of a fold, as a share.
        accuracies: Accuracy of each spec about which trainings spread.
        sizes: How many videos groups have.
    """

    num_groups: int
    num_folds: int = 5
    num_fold_seeds: int = 1
    spread: float = 0.0
    accuracies: tuple[float, ...] = (0.6, 0.7)
    sizes: Sizes = "ufc10"

    def studies(self, number: int, rng: np.random.Generator) -> Iterator[FoldStudy]:
        """Draw studies."""
        levels, sds, truths = _levels(self.accuracies, self.spread)
        for _ in range(number):
            sizes = draw_sizes(self.num_groups, self.sizes, rng)
            member = np.repeat(np.arange(len(sizes)), sizes)
            folds = np.stack(
                [draw_folds(sizes, self.num_folds, rng)[member] for _ in range(self.num_fold_seeds)]
            )
            shown = _of_videos(member, len(levels), rng)[:, None] + levels[:, None, None]
            trainings = sds[:, None, None] * rng.normal(size=(len(levels), *folds.shape[:1], self.num_folds))
            index = np.broadcast_to(folds, (len(levels), *folds.shape))
            shown = shown + np.take_along_axis(trainings, index, axis=2)
            shown = shown + math.sqrt(_REST) * rng.normal(size=shown.shape)
            yield FoldStudy((shown > 0).astype(np.float64), folds, names_of(member), truths)


@dataclass(frozen=True, eq=False)
class LeakStudy:
    """Answers of a simulated measurement of a leak.

    Attributes:
        leaky: 1 where a video was classified correctly, else 0; NaN where it was not in val, `[J, N]`.
        clean: The same on the group-disjoint splits.
        groups: Group of each video.
        truth: Expected difference of the accuracies.
    """

    leaky: Floats
    clean: Floats
    groups: list[str]
    truth: float


@dataclass(frozen=True)
class LeakDesign:
    """What the simulated measurements of a cell have in common.

    Attributes:
        num_groups: G.
        num_videos: N.
        num_pairs: J.
        is_own_split: Whether all leaky runs are scored on one val split.
        spread: Standard deviation over trainings of the expected accuracy of a run, as a share.
    """

    num_groups: int
    num_videos: int
    num_pairs: int
    is_own_split: bool = True
    spread: float = 0.0

    def studies(self, number: int, rng: np.random.Generator) -> Iterator[LeakStudy]:
        """Draw studies in which the leak is worth some 15 points; a fifth of the videos is in val."""
        levels, sds, truths = _levels((0.8, 0.65), self.spread)
        num_val = self.num_videos // 5
        for _ in range(number):
            weights = rng.gamma(4.0, size=self.num_groups)
            rest = rng.choice(self.num_groups, self.num_videos - self.num_groups, p=weights / weights.sum())
            member = np.sort(np.concatenate([np.arange(self.num_groups), rest]))
            shown = _of_videos(member, 2, rng)
            answers = np.full((2, self.num_pairs, self.num_videos), np.nan)
            own = rng.permutation(self.num_videos)[:num_val]
            for pair in range(self.num_pairs):
                leaky = own if self.is_own_split else rng.permutation(self.num_videos)[:num_val]
                for arm, val in enumerate((leaky, _whole_groups(member, num_val, rng))):
                    rests = math.sqrt(_REST) * rng.normal(size=len(val))
                    sums = levels[arm] + shown[arm, val] + sds[arm] * rng.normal() + rests
                    answers[arm, pair, val] = sums > 0
            yield LeakStudy(answers[0], answers[1], names_of(member), truths[0] - truths[1])


def trained_studies(
    number: int, rng: np.random.Generator, *, num_groups: int, num_folds: int, num_fold_seeds: int
) -> Iterator[FoldStudy]:
    """Cross-validate two real classifiers: nearest class mean, and the same on half of the features."""
    truths = _trained_truths(num_groups - num_groups // num_folds)
    for _ in range(number):
        features, labels, member = _draw_features(num_groups, rng)
        folds = np.stack(
            [_folds_of_classes(num_groups, num_folds, rng)[member] for _ in range(num_fold_seeds)]
        )
        correct = np.zeros((2, *folds.shape))
        for row, of_row in enumerate(folds):
            for fold in range(num_folds):
                held = of_row == fold
                for spec, used in enumerate((features, features[:, : _NUM_FEATURES // 2])):
                    said = _nearest_mean(used[~held], labels[~held], used[held])
                    correct[spec, row, held] = said == labels[held]
        yield FoldStudy(correct, folds, names_of(member), truths)


def draw_sizes(num_groups: int, sizes: Sizes, rng: np.random.Generator) -> Ints:
    """Number of videos of each group."""
    if sizes == "equal":
        return np.full(num_groups, 3)
    if sizes == "ufc10":
        return np.asarray(rng.choice(_SIZES, num_groups))
    return np.maximum(1, np.round(rng.lognormal(math.log(3), 0.6, num_groups))).astype(np.int64)


def draw_folds(sizes: Ints, num_folds: int, rng: np.random.Generator) -> Ints:
    """Fold of each group: groups in random order, each into the fold with the fewest videos."""
    load, folds = np.zeros(num_folds), np.zeros(len(sizes), np.int64)
    for group in rng.permutation(len(sizes)):
        folds[group] = rng.choice(np.flatnonzero(load == load.min()))
        load[folds[group]] += sizes[group]
    return folds


def names_of(member: Ints) -> list[str]:
    """Name of the group of each video."""
    return [f"g{number:03d}" for number in member.tolist()]


def _levels(accuracies: tuple[float, ...], spread: float) -> tuple[Floats, Floats, tuple[float, ...]]:
    """Level and standard deviation of the training of each spec, and the expected accuracies."""
    found = [(norm.ppf(accuracy), spread / norm.pdf(norm.ppf(accuracy))) for accuracy in accuracies]
    truths = tuple(float(norm.cdf(level / math.hypot(1, sd))) for level, sd in found)
    return np.array([level for level, _ in found]), np.array([sd for _, sd in found]), truths


def _of_videos(member: Ints, num_specs: int, rng: np.random.Generator) -> Floats:
    """Effects of group and video, `[A, N]`."""
    num_groups = member.max() + 1
    shared = math.sqrt(_GROUP) * rng.normal(size=num_groups)[member]
    shared = shared + math.sqrt(_VIDEO) * rng.normal(size=len(member))
    own = math.sqrt(_SPEC_BY_GROUP) * rng.normal(size=(num_specs, num_groups))
    return np.asarray(shared + own[:, member])


def _whole_groups(member: Ints, num_val: int, rng: np.random.Generator) -> Ints:
    """Videos of whole groups, two or more groups, as many as are wanted or a few more."""
    order = rng.permutation(member.max() + 1)
    ends = np.cumsum(np.bincount(member)[order])
    chosen = order[: max(2, int(np.searchsorted(ends, num_val)) + 1)]
    return np.flatnonzero(np.isin(member, chosen))


def _draw_features(num_groups: int, rng: np.random.Generator) -> tuple[Floats, Ints, Ints]:
    """Features, labels and groups of videos; each group is of one class and shares an offset."""
    sizes = draw_sizes(num_groups, "ufc10", rng)
    member = np.repeat(np.arange(num_groups), sizes)
    labels = (np.arange(num_groups) % _NUM_CLASSES)[member]
    centres = _CLASS_SPREAD * np.random.default_rng(0).normal(size=(_NUM_CLASSES, _NUM_FEATURES))
    offsets = _GROUP_SPREAD * rng.normal(size=(num_groups, _NUM_FEATURES))
    features = centres[labels] + offsets[member] + rng.normal(size=(len(member), _NUM_FEATURES))
    return features, labels, member


def _folds_of_classes(num_groups: int, num_folds: int, rng: np.random.Generator) -> Ints:
    """Fold of each group; the groups of a class, in random order, fall into as many folds as they can."""
    random = rng.permutation(num_groups)
    order = random[np.argsort(random % _NUM_CLASSES, kind="stable")]
    folds = np.empty(num_groups, np.int64)
    folds[order] = (np.arange(num_groups) + rng.integers(num_folds)) % num_folds
    return folds


def _nearest_mean(seen: Floats, labels: Ints, asked: Floats) -> Ints:
    means = np.stack([seen[labels == label].mean(axis=0) for label in range(_NUM_CLASSES)])
    return np.asarray(((asked[:, None] - means) ** 2).sum(axis=2).argmin(axis=1))


@lru_cache
def _trained_truths(num_trained: int) -> tuple[float, ...]:
    """Expected accuracies of classifiers trained on this many groups, over trainings and new groups."""
    rng, hits = np.random.default_rng(1), np.zeros((600, 2))
    for row in hits:
        seen, labels, *_ = _draw_features(num_trained, rng)
        asked, wanted, *_ = _draw_features(400, rng)
        for spec, half in enumerate((_NUM_FEATURES, _NUM_FEATURES // 2)):
            row[spec] = (_nearest_mean(seen[:, :half], labels, asked[:, :half]) == wanted).mean()
    return tuple(hits.mean(axis=0).tolist())
