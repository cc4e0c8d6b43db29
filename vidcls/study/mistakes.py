"""Mistakes of one run, or what changed between several, from their stored logits.

Of one run, the most confident mistakes, by the probability of the predicted class, and the least certain
answers, by the same probability ("least confidence"; Lewis and Gale 1994). Of several runs, what each of them
does better and worse than the first one, and the videos that all of them get wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from vidcls.evaluate.metrics import softmax, top_classes
from vidcls.evaluate.predictions import Predictions
from vidcls.run.folder import Checkpoint, Run
from vidcls.study.evidence import load_evidence, record_looks

ReadSplit = Literal["val", "test"]
Kind = Literal["confident mistakes", "least certain", "lost", "gained", "wrong in all", "most often wrong"]


@dataclass(frozen=True)
class Answer:
    """Answer of a run for a video: its first two classes with their probabilities."""

    predicted: str
    probability: float
    second: str
    second_probability: float
    is_correct: bool


@dataclass(frozen=True)
class Case:
    """Video with its true class, and the answer of each run of the list."""

    video: str
    true: str
    answers: tuple[Answer, ...]

    def counted(self, names: Mapping[str, str] | None = None) -> str:
        """Predicted classes with the number of runs that predict them, most frequent first.

        Args:
            names: Names to show for the classes; None for their own.
        """
        count = Counter(answer.predicted for answer in self.answers)
        return ", ".join(f"{(names or {}).get(name, name)} ({num})" for name, num in count.most_common())


@dataclass(frozen=True)
class CaseList:
    """Videos that have something in common.

    Attributes:
        kind: What they have in common.
        title: The same in words, with the names of runs.
        runs: Names of the runs that the answers come from, in this order.
        num_videos: Number of such videos.
        cases: The first of them.
    """

    kind: Kind
    title: str
    runs: tuple[str, ...]
    num_videos: int
    cases: tuple[Case, ...]

    @property
    def heading(self) -> str:
        """Title with the number of videos."""
        if self.kind == "least certain":
            return f"{self.title}: {len(self.cases)} of {self.num_videos}"
        shown = len(self.cases)
        return f"{self.title}: {self.num_videos}{f', the first {shown}' if shown < self.num_videos else ''}"


@dataclass(frozen=True)
class RunResult:
    """Number of videos that a run gets right, and the leak state of its data, for the split."""

    run: str
    num_correct: int
    leak_state: str


@dataclass(frozen=True)
class Mistakes:
    """Mistakes of one or several runs.

    Attributes:
        split: Split of the videos.
        checkpoint: Checkpoint of the runs.
        classes: Class names in label order.
        num_videos: Number of scored videos, the same for all runs.
        results: Result of each run.
        lists: Lists of videos.
        unscored: Reason why a video has no logits, by id.
    """

    split: ReadSplit
    checkpoint: Checkpoint
    classes: tuple[str, ...]
    num_videos: int
    results: tuple[RunResult, ...]
    lists: tuple[CaseList, ...]
    unscored: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All attributes as plain values for JSON."""
        return asdict(self)


def find_mistakes(runs: Sequence[Run], *, split: ReadSplit, checkpoint: Checkpoint, num: int) -> Mistakes:
    """Find the mistakes of one run, or compare several on the same videos.

    Test logits that are shown are recorded as a repeated look in the ledger first; nothing is scored.

    Args:
        runs: One or more runs; others are compared with the first one.
        split: Split of the stored logits.
        checkpoint: Checkpoint of the stored logits.
        num: Maximum number of videos in each list.

    Raises:
        UserError: If logits are not stored, or are of other weights (with the command to create them), or the
            runs were not scored on the same videos.
        VidclsError: If stored logits are damaged, or a look at test cannot be recorded.
    """
    evidence = load_evidence(runs, split, checkpoint=checkpoint)
    record_looks(runs, split, checkpoint=checkpoint)
    found = evidence.predictions
    names = _names(runs)
    scored = [_Scored.of(name, predictions) for name, predictions in zip(names, found, strict=True)]
    lists = _of_one(scored[0], num) if len(runs) == 1 else _between(scored, num)
    results = (
        RunResult(each.name, int(each.correct.sum()), run.leak_state)
        for each, run in zip(scored, evidence.runs, strict=True)
    )
    return Mistakes(
        split=split,
        checkpoint=checkpoint,
        classes=evidence.classes,
        num_videos=len(evidence.ids),
        results=tuple(results),
        lists=tuple(lists),
        unscored=evidence.unscored,
    )


def _names(runs: Sequence[Run]) -> list[str]:
    short = [f"{run.folder.parent.name}/{run.folder.name}" for run in runs]
    return short if len(set(short)) == len(runs) else [str(run.folder) for run in runs]


@dataclass(frozen=True, eq=False)
class _Scored:
    """Answers of a run: first two classes and their probabilities `[N, 2]`, and which are correct `[N]`."""

    name: str
    predictions: Predictions
    classes: np.ndarray
    probabilities: np.ndarray
    correct: np.ndarray

    @classmethod
    def of(cls, name: str, predictions: Predictions) -> _Scored:
        first_two = top_classes(predictions.logits, k=2)
        probabilities = np.take_along_axis(softmax(predictions.logits), first_two, axis=1)
        return cls(name, predictions, first_two, probabilities, first_two[:, 0] == predictions.labels)

    def answer(self, row: int) -> Answer:
        names = [self.predictions.classes[label] for label in self.classes[row]]
        first, second = self.probabilities[row].tolist()
        return Answer(names[0], first, names[1], second, bool(self.correct[row]))


def _of_one(run: _Scored, num: int) -> list[CaseList]:
    first = run.probabilities[:, 0]
    mistakes = _sorted(~run.correct, -first)
    return [
        _listed("confident mistakes", "most confident mistakes", [run], rows=mistakes, num=num),
        _listed(
            "least certain",
            "least certain answers",
            [run],
            rows=_sorted(np.ones_like(run.correct), first),
            num=num,
        ),
    ]


def _between(runs: Sequence[_Scored], num: int) -> list[CaseList]:
    first, lists = runs[0], []
    for other in runs[1:]:
        pair = [first, other]
        lost = _sorted(first.correct & ~other.correct, -other.probabilities[:, 0])
        gained = _sorted(~first.correct & other.correct, -first.probabilities[:, 0])
        title = f"right in {first.name}, wrong in {other.name}"
        lists.append(_listed("lost", title, pair, rows=lost, num=num))
        title = f"wrong in {first.name}, right in {other.name}"
        lists.append(_listed("gained", title, pair, rows=gained, num=num))
    wrong = ~np.any([run.correct for run in runs], axis=0)
    confidence = np.mean([run.probabilities[:, 0] for run in runs], axis=0)
    title = f"wrong in {'both' if len(runs) == 2 else f'all {len(runs)}'} runs"
    lists.append(_listed("wrong in all", title, runs, rows=_sorted(wrong, -confidence), num=num))
    return lists


def _sorted(chosen: np.ndarray, key: np.ndarray) -> list[int]:
    """Rows that are chosen, sorted by a key; equal ones stay in the order of the videos."""
    rows = np.flatnonzero(chosen)
    found: list[int] = rows[np.argsort(key[rows], kind="stable")].tolist()
    return found


def _listed(kind: Kind, title: str, runs: Sequence[_Scored], *, rows: list[int], num: int) -> CaseList:
    stored = runs[0].predictions
    cases = (
        Case(stored.ids[row], stored.classes[stored.labels[row]], tuple(run.answer(row) for run in runs))
        for row in rows[:num]
    )
    return CaseList(kind, title, tuple(run.name for run in runs), len(rows), tuple(cases))
