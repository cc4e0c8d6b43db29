"""Compares configurations by the stored logits of their runs, on the same videos.

Axes: R runs, N videos, K classes, C configurations, P pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from vidcls.arrays import Floats, Ints
from vidcls.statistics.corrections import holm
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.jackknife import jackknife_of_means
from vidcls.statistics.scores import SCORES, Answers
from vidcls.study.compare.outlook import outlook
from vidcls.study.compare.remarks import remarks_on
from vidcls.study.compare.results import (
    LEVEL,
    MATTERS,
    CheckpointPair,
    ClassDifference,
    Comparison,
    Contender,
    Difference,
    Ground,
    Metric,
)
from vidcls.study.compare.verdict import verdict_of

MAX_ALL_PAIRS = 20
"""Largest number of configurations whose pairs are all listed; of more, the pairs with the best one."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """Configuration that is compared.

    Attributes:
        label: Label that tells it from the others.
        key: Fingerprint of the configuration.
        seeds: Seeds of its runs.
        runs: Folders of its runs.
        leak_state: Leak states of the data of its runs.
        flattered: What was chosen on the videos that are scored.
    """

    label: str
    key: str
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    leak_state: str
    flattered: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Scored:
    """What the runs of all configurations said of the same videos.

    Attributes:
        logits: Logits `[R, N, K]`.
        labels: True classes, `[N]`.
        groups: Group of each of the N videos.
        classes: Names of the K classes.
        configurations: Number of the configuration of each of the R runs, from 0 without gaps.
    """

    logits: NDArray[np.float32]
    labels: Ints
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    configurations: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a comparison.

    Attributes:
        metric: Score that decides.
        margin: Difference that does not matter; None if all do.
        num_compared: Number of configurations that p-values are corrected for, if that is larger than the
            number of those that are named: of all that were scored on this test split.
        looks: Facts of the ledger of the test split.
        num_data: Number of different data sets on which the runs were trained.
        unscored: Reasons why videos of the split were not scored, by id.
    """

    metric: Metric = "top1"
    margin: float | None = None
    num_compared: int = 0
    looks: Mapping[str, int] = field(default_factory=dict)
    num_data: int = 1
    unscored: Mapping[str, str] = field(default_factory=dict)


def compare_scored(
    scored: Scored, members: Sequence[Member], *, ground: Ground, question: Question
) -> Comparison:
    """Compare configurations.

    Args:
        scored: What their runs said of videos of two or more groups.
        members: The configurations, two or more, in the order of their numbers.
        ground: What the comparison stands on.
        question: What is asked.
    """
    answers = Answers.of(scored.logits, scored.labels)
    effects = {
        name: CrossedEffects.of(score(answers, scored.groups), scored.configurations)
        for name, score in SCORES.items()
    }
    deciding = effects[question.metric]
    pairs = _Pairs.of(deciding, num_compared=max(question.num_compared, len(members)))
    order = list(range(len(members)))
    if len(members) > 2:
        order = np.argsort(-deciding.means, kind="stable").tolist()
    contenders = _contenders(members, effects, pairs)
    listed = _listed_pairs(order)
    found = Comparison(
        verdict="",
        remarks=(),
        metric=question.metric,
        margin=question.margin,
        ground=ground,
        configurations=tuple(contenders[number] for number in order),
        differences=tuple(_differences(deciding, pairs, listed, members, question.margin)),
        num_comparisons=pairs.num_comparisons,
        checkpoint_pairs=tuple(_checkpoint_pairs(answers, scored, members, listed)),
        class_pair=(members[listed[0][0]].label, members[listed[0][1]].label),
        classes=tuple(_class_differences(answers, scored, *listed[0])),
        looks=question.looks,
        unscored=question.unscored,
    )
    needed = _outlook(found, deciding, listed, pairs.num_comparisons)
    return replace(
        found,
        verdict=verdict_of(found, outlook=needed),
        remarks=remarks_on(found, num_data=question.num_data),
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """All pairs of configurations, in both directions: corrected p-values and signs, `[C, C]`."""

    p_holm: Floats
    is_better: NDArray[np.bool_]
    num_comparisons: int

    @classmethod
    def of(cls, effects: CrossedEffects, *, num_compared: int) -> _Pairs:
        num = len(effects.means)
        first, second = np.triu_indices(num, 1)
        num_comparisons = num_compared * (num_compared - 1) // 2
        p_holm = np.ones((num, num))
        p_values = effects.differences(first, second).p_values
        p_holm[first, second] = holm(p_values, num_comparisons=num_comparisons)
        p_holm = np.minimum(p_holm, p_holm.T)
        is_better = (p_holm < LEVEL) & (effects.means[:, None] > effects.means)
        return cls(p_holm, is_better, num_comparisons)


def _contenders(
    members: Sequence[Member], effects: Mapping[str, CrossedEffects], pairs: _Pairs
) -> list[Contender]:
    means = {name: effects_of.all_means() for name, effects_of in effects.items()}
    num_better, num_worse = pairs.is_better.sum(axis=0), pairs.is_better.sum(axis=1)
    return [
        Contender(
            label=member.label,
            key=member.key,
            seeds=member.seeds,
            runs=member.runs,
            leak_state=member.leak_state,
            flattered=member.flattered,
            scores={name: of_all[number] for name, of_all in means.items()},
            best_rank=1 + int(num_better[number]),
            worst_rank=len(members) - int(num_worse[number]),
        )
        for number, member in enumerate(members)
    ]


def _listed_pairs(order: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (first, second) that are shown as second minus first: the higher one is second, of two the last.

    The first pair is that of the two best, or of the only two.
    """
    if len(order) == 2:
        return [(order[0], order[1])]
    num_seconds = 1 if len(order) > MAX_ALL_PAIRS else len(order)
    return [(first, second) for rank, second in enumerate(order[:num_seconds]) for first in order[rank + 1 :]]


def _differences(
    effects: CrossedEffects,
    pairs: _Pairs,
    listed: Sequence[tuple[int, int]],
    members: Sequence[Member],
    margin: float | None,
) -> list[Difference]:
    first, second = np.array(listed).T
    return [
        Difference(
            members[a].label,
            members[b].label,
            estimate,
            float(pairs.p_holm[a, b]),
            margin,
        )
        for (a, b), estimate in zip(listed, effects.differences(first, second), strict=True)
    ]


def _checkpoint_pairs(
    answers: Answers, scored: Scored, members: Sequence[Member], listed: Sequence[tuple[int, int]]
) -> list[CheckpointPair]:
    """Exact McNemar tests of the pairs in which both have one seed (McNemar 1947, Psychometrika 12:153)."""
    run_of = {configuration: run for run, configuration in enumerate(scored.configurations)}
    correct = answers.correct
    found = []
    for first, second in listed:
        if max(len(members[first].seeds), len(members[second].seeds)) > 1:
            continue
        one, other = correct[run_of[first]], correct[run_of[second]]
        only_first, only_second = int((one & ~other).sum()), int((other & ~one).sum())
        # Of the videos that only one of them gets right, each has half of them by chance.
        tail = float(bdtr(min(only_first, only_second), only_first + only_second, 0.5))
        labels = members[first].label, members[second].label
        found.append(CheckpointPair(*labels, only_first, only_second, min(1.0, 2 * tail)))
    return found


def _class_differences(answers: Answers, scored: Scored, first: int, second: int) -> list[ClassDifference]:
    """Differences in recall, over the groups that have videos of the class."""
    member = np.array(scored.configurations)
    runs = np.flatnonzero((member == first) | (member == second))
    correct = answers.correct[runs].astype(np.float64)
    groups = np.array(scored.groups)
    rows: list[ClassDifference] = []
    for label, name in enumerate(scored.classes):
        of_class = scored.labels == label
        if not of_class.any():
            continue
        recalls = [float(correct[member[runs] == one][:, of_class].mean()) for one in (first, second)]
        its_groups = groups[of_class].tolist()
        num_groups = len(set(its_groups))
        row = ClassDifference(name, int(of_class.sum()), num_groups, recalls[0], recalls[1])
        if num_groups > 1:
            found = jackknife_of_means(correct[:, of_class], its_groups)
            estimate = CrossedEffects.of(found, (member[runs] == second).astype(int).tolist()).difference(
                0, 1
            )
            if estimate.std_error or not estimate.value:
                row = replace(row, estimate=estimate)
        rows.append(row)
    known = [number for number, row in enumerate(rows) if row.estimate is not None]
    corrected = holm([row.estimate.p_value for row in rows if row.estimate is not None])
    for number, p_holm in zip(known, corrected, strict=True):
        rows[number] = replace(rows[number], p_holm=p_holm)
    return rows


def _outlook(
    found: Comparison, effects: CrossedEffects, listed: Sequence[tuple[int, int]], num_comparisons: int
) -> str | None:
    """What would be enough evidence for the first pair with the best that is not clear."""
    for (first, second), difference in zip(listed, found.differences, strict=True):
        if second == listed[0][1] and difference.finding == "too little evidence":
            alpha, wanted = LEVEL / num_comparisons, found.margin or MATTERS
            return outlook(
                effects,
                (first, second),
                num_videos=found.ground.num_videos,
                difference=wanted,
                alpha=alpha,
            )
    return None
