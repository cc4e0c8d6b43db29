"""Results of a comparison of configurations.

Shares, such as top-1 and differences of it, are 0 to 1 here and in JSON; tables and sentences show points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vidcls.choices import Split
from vidcls.run.folder import Checkpoint
from vidcls.statistics.estimate import Estimate
from vidcls.study.intervals import ends, plain_difference, plain_interval

Metric = Literal["top1", "mean_class_acc", "macro_f1"]
METRIC_WORDS: Mapping[Metric, str] = {
    "top1": "top-1",
    "mean_class_acc": "mean class accuracy",
    "macro_f1": "macro F1",
}
Finding = Literal["clear", "equivalent", "tie", "too little evidence"]
MATTERS = 0.05
"""Difference that matters, if no margin is given: 5 points."""
LEVEL = 0.05
"""P-value below which a difference is clear."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a comparison stands on.

    Attributes:
        split: Split of the videos.
        checkpoint: Checkpoint of the runs.
        num_videos: Number of videos, the same for all runs.
        num_groups: Number of their groups; of videos, if groups are not known.
        unit: What counts as independent: `groups`, or `videos` if no group is known.
        num_ungrouped: Number of videos whose group is not known; each counts as a group of its own.
        leak_states: Leak states of the data of the runs, each once.
    """

    split: Split
    checkpoint: Checkpoint
    num_videos: int
    num_groups: int
    unit: Literal["groups", "videos"]
    num_ungrouped: int
    leak_states: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Configuration with its scores.

    Attributes:
        label: Label that tells it from the others.
        key: Fingerprint of the configuration.
        seeds: Seeds of its runs.
        runs: Folders of its runs.
        leak_state: Leak states of the data of its runs.
        flattered: What was chosen on the videos that are scored, so that its scores are too good.
        scores: Mean over the seeds of each score, by name, see `vidcls.statistics.scores.SCORES`.
        best_rank: 1 and the number of configurations that are clearly better.
        worst_rank: Number of configurations that are not clearly worse; it counts itself.
    """

    label: str
    key: str
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    leak_state: str
    flattered: tuple[str, ...]
    scores: Mapping[str, Estimate]
    best_rank: int
    worst_rank: int


@dataclass(frozen=True)
class Difference:
    """Difference of two configurations on the same videos.

    Attributes:
        first: Label of the first configuration.
        second: Label of the second configuration.
        estimate: Score of the second minus that of the first.
        p_holm: P-value, corrected by Holm over all comparisons.
        margin: Difference that does not matter; None if none was given.
    """

    first: str
    second: str
    estimate: Estimate
    p_holm: float
    margin: float | None = None

    @property
    def is_clear(self) -> bool:
        """Whether the difference is real, after the correction."""
        return self.p_holm < LEVEL

    @property
    def p_equivalent(self) -> float | None:
        """P-value of the hypothesis that they are the margin or more apart; None without a margin."""
        return None if self.margin is None else self.estimate.p_equivalent(self.margin)

    @property
    def finding(self) -> Finding:
        """What is known of the difference.

        `equivalent` if it is shown to be below the margin, even if it is clear as well. Without a margin,
        what is not clear is a `tie` if the interval holds zero and no difference beyond `MATTERS`.
        """
        if self.p_equivalent is not None and self.p_equivalent < LEVEL:
            return "equivalent"
        if self.is_clear:
            return "clear"
        low, high = self.estimate.low, self.estimate.high
        is_narrow = -MATTERS <= low <= 0 <= high <= MATTERS
        return "tie" if self.margin is None and is_narrow else "too little evidence"


@dataclass(frozen=True)
class CheckpointPair:
    """Exact McNemar test of two checkpoints, which takes videos as independent and knows no seeds.

    Attributes:
        first: Label of the first configuration.
        second: Label of the second configuration.
        only_first: Number of videos that only the first gets right.
        only_second: Number of videos that only the second gets right.
        p_value: P-value of the hypothesis that both numbers are equal but for chance; not corrected.
    """

    first: str
    second: str
    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class ClassDifference:
    """Difference in the recall of one class.

    Attributes:
        name: Name of the class.
        num_videos: Number of its videos.
        num_groups: Number of groups that have a video of the class.
        first: Recall of the first configuration.
        second: Recall of the second configuration.
        estimate: Second minus first; None if one group has all its videos, or all its groups agree in a
            difference: then nothing is known of another group.
        p_holm: P-value, corrected by Holm over the classes; None without an estimate.
    """

    name: str
    num_videos: int
    num_groups: int
    first: float
    second: float
    estimate: Estimate | None = None
    p_holm: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of two or more configurations.

    Attributes:
        verdict: Verdict in one sentence, with all that it stands on.
        remarks: What a reader must know besides.
        metric: Score of the differences, the ranks and the verdict.
        margin: Difference that does not matter; None if none was given.
        ground: What the comparison stands on.
        configurations: Configurations; two as they were named, more from the highest score to the lowest.
        differences: Differences of all pairs, or of the first configuration and each other if they are many.
        num_comparisons: Number of comparisons that the p-values are corrected for.
        checkpoint_pairs: McNemar tests of the listed pairs in which both have one seed.
        class_pair: Labels of the two configurations whose classes are compared.
        classes: Differences of their classes.
        looks: Facts of the ledger of the test split, by name; empty for val.
        unscored: Reason why a video of the split has no logits, by id.
    """

    verdict: str
    remarks: tuple[str, ...]
    metric: Metric
    margin: float | None
    ground: Ground
    configurations: tuple[Contender, ...]
    differences: tuple[Difference, ...]
    num_comparisons: int
    checkpoint_pairs: tuple[CheckpointPair, ...]
    class_pair: tuple[str, str]
    classes: tuple[ClassDifference, ...]
    looks: Mapping[str, int]
    unscored: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """All results as plain values for JSON; tables are made from these values alone."""
        return {
            "verdict": self.verdict,
            "remarks": list(self.remarks),
            "metric": self.metric,
            "margin": self.margin,
            **asdict(self.ground),
            "leak_states": list(self.ground.leak_states),
            "num_comparisons": self.num_comparisons,
            "looks": dict(self.looks),
            "unscored": dict(self.unscored),
            "configurations": [_plain_contender(one) for one in self.configurations],
            "differences": [
                {
                    "configuration": one.second,
                    "minus": one.first,
                    "value": one.estimate.value,
                    **plain_difference(one.estimate),
                    "p_value": one.estimate.p_value,
                    "p_holm": one.p_holm,
                    "p_equivalent": one.p_equivalent,
                    "finding": one.finding,
                }
                for one in self.differences
            ],
            "mcnemar": [
                {
                    "configuration": one.second,
                    "minus": one.first,
                    "only_configuration": one.only_second,
                    "only_minus": one.only_first,
                    "p_value": one.p_value,
                }
                for one in self.checkpoint_pairs
            ],
            "per_class": {
                "configuration": self.class_pair[1],
                "minus": self.class_pair[0],
                "classes": [_plain_class(one) for one in self.classes],
            },
        }


def _plain_contender(one: Contender) -> dict[str, Any]:
    return {
        "configuration": one.label,
        "key": one.key,
        "seeds": list(one.seeds),
        "runs": list(one.runs),
        "leak_state": one.leak_state,
        "flattered": list(one.flattered),
        **{
            name: {
                "value": score.value,
                **plain_interval(score, least=0.0, most=math.inf if name == "loss" else 1.0),
            }
            for name, score in one.scores.items()
        },
        "best_rank": one.best_rank,
        "worst_rank": one.worst_rank,
    }


def _plain_class(one: ClassDifference) -> dict[str, Any]:
    found = one.estimate
    low, high = (None if found is None else ends(found)) or (None, None)
    return {
        "class": one.name,
        "num_videos": one.num_videos,
        "num_groups": one.num_groups,
        "recall": one.second,
        "recall_of_minus": one.first,
        "value": one.second - one.first,
        "low": low,
        "high": high,
        "p_value": None if found is None else found.p_value,
        "p_holm": one.p_holm,
    }
