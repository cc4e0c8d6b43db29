"""Material of a report: the finished runs, what they can be compared with, and what is left out.

Runs on leaky and on clean data, or on different videos, are no comparison. Each set of runs that can be
compared is a pool of its own, so that leaky and clean results stand beside each other with their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vidcls.arrays import Floats
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.stored import settings_of
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.show import flatten
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.scores import Answers, top1
from vidcls.study.compare.of_runs import Request, compare_runs
from vidcls.study.configurations import Configuration, grouped
from vidcls.study.evidence import Evidence, EvidenceRun, load_evidence, record_looks
from vidcls.study.intervals import ends
from vidcls.study.mistakes import ReadSplit

_KEY = re.compile(r"(?<!\S)(\w+(?:\.\w+)+)(?==)")


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """What a report is asked to show.

    Attributes:
        split: Split of the stored logits.
        checkpoint: Checkpoint of the stored logits.
        chosen: How a run may have been chosen by its score on val, such as the best trial of a sweep.
        notes: What a reader must know of how the runs were found.
    """

    split: ReadSplit = "val"
    checkpoint: Checkpoint = "best"
    chosen: Mapping[Run, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def comparison(self) -> Request:
        """The same, as asked of a comparison."""
        return Request(split=self.split, checkpoint=self.checkpoint, chosen=self.chosen)


@dataclass(frozen=True, eq=False)
class Pool:
    """Runs that can be compared: of the same videos and the same leak state.

    Attributes:
        leak_state: Leak state of their data, for the split.
        configurations: Configurations, that with the highest top-1 first.
        evidence: Logits of all runs, in the order of the configurations.
        answers: What they said.
        comparison: Result of the comparison as plain values, see `Comparison.as_dict`; None with one
            configuration.
        refusal: Why they are not compared.
    """

    leak_state: str
    configurations: tuple[Configuration, ...]
    evidence: Evidence
    answers: Answers
    comparison: Mapping[str, Any] | None
    refusal: str

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, in the order of the configurations."""
        return tuple(run for each in self.configurations for run in each.runs)

    @property
    def data(self) -> str:
        """Name of the data with its leak state, for a reader."""
        root = self.runs[0].provenance()["data_root"]
        return f"{Path(root).name} (leak state: {self.leak_state})"

    @property
    def members(self) -> list[slice]:
        """Rows of the runs of each configuration in the evidence."""
        ends = np.cumsum([len(each.runs) for each in self.configurations]).tolist()
        return [slice(end - len(each.runs), end) for end, each in zip(ends, self.configurations, strict=True)]

    @cached_property
    def names(self) -> dict[str, str]:
        """Short name of each configuration by its label, for figures."""
        labels = [each.label for each in self.configurations]
        return dict(zip(labels, short_names(labels), strict=True))

    @cached_property
    def intervals(self) -> list[tuple[float, float] | None]:
        """95 % interval of the top-1 of each configuration; None if there is none, as nothing varied."""
        if self.evidence.num_groups < 2:
            return [None] * len(self.configurations)
        numbers = [number for number, each in enumerate(self.configurations) for _ in each.runs]
        effects = CrossedEffects.of(top1(self.answers, self.evidence.groups), numbers)
        return [ends(mean, least=0.0, most=1.0) for mean in effects.all_means()]

    def top1(self) -> list[Floats]:
        """Top-1 of each run, by configuration."""
        scores = self.answers.correct.mean(axis=1)
        return [scores[rows] for rows in self.members]


@dataclass(frozen=True, eq=False)
class Material:
    """All that a report is made of.

    Attributes:
        request: What is asked.
        pools: Pools, that with the most runs first.
        left_out: Why runs are left out.
    """

    request: ReportRequest
    pools: tuple[Pool, ...]
    left_out: Mapping[Run, str]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Runs of all pools."""
        return tuple(run for pool in self.pools for run in pool.runs)


def short_names(labels: Sequence[str]) -> list[str]:
    """Labels without what all of them have in common: the name of the experiment, and sections of settings.

    `heads: model.kind=late_fusion optim.lr=0.1` becomes `kind=late_fusion lr=0.1`.
    """
    parts = [label.partition(": ") for label in labels]
    names = list(labels)
    if len({name for name, _, _ in parts}) == 1 and all(rest for _, _, rest in parts):
        names = [rest for _, _, rest in parts]
    keys = {key for name in names for key in _KEY.findall(name)}
    if len({key.rpartition(".")[2] for key in keys}) < len(keys):
        return names
    return [_KEY.sub(lambda key: key[1].rpartition(".")[2], name) for name in names]


def gather(runs: Sequence[Run], request: ReportRequest) -> Material:
    """Read the stored logits of runs and compare those that can be compared; looks at test are recorded.

    Args:
        runs: Runs in any state; those that are not finished, or have no stored logits, are left out.
        request: What is asked.

    Raises:
        UserError: If no run is left.
        VidclsError: If a look at test cannot be recorded.
    """
    left_out: dict[Run, str] = {}
    kept: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        try:
            if why := _unusable(run, request):
                left_out[run] = why
                continue
            facts = EvidenceRun.of(run, request.split)
        except VidclsError as error:
            left_out[run] = error.message
            continue
        kept.setdefault((facts.leak_state, facts.manifest_hash), []).append(run)
    pools = [
        pool
        for (leak_state, _), members in sorted(kept.items(), key=lambda item: -len(item[1]))
        if (pool := _pool(members, leak_state, request, left_out)) is not None
    ]
    if not pools:
        raise UserError(
            f"none of the {len(runs)} runs can be shown: {next(iter(left_out.values()), 'there are none')}",
            hint="vidcls runs ls shows their states; vidcls evaluate RUN stores what a report reads",
        )
    return Material(request, tuple(pools), left_out)


def _unusable(run: Run, request: ReportRequest) -> str:
    state = run.state
    if state != "finished":
        return f"it is not finished: {state}"
    if not run.predictions_file(request.split, request.checkpoint).is_file():
        return (
            f"no {request.split} logits of its checkpoint {request.checkpoint!r} are stored: "
            f"vidcls evaluate {run.folder} --split {request.split} --checkpoint {request.checkpoint}"
        )
    return ""


def _pool(
    runs: Sequence[Run], leak_state: str, request: ReportRequest, left_out: dict[Run, str]
) -> Pool | None:
    configurations, repeated = grouped(runs)
    left_out |= {run: f"the same configuration and seed as {other.folder}" for run, other in repeated.items()}
    comparison: dict[str, Any] | None = None
    refusal = ""
    ordered = [run for each in configurations for run in each.runs]
    if len(configurations) > 1:
        try:
            comparison = compare_runs(ordered, request.comparison).as_dict()
        except VidclsError as error:
            refusal = f"{error.message}{error.hint and f': {error.hint}'}"
    try:
        evidence = load_evidence(ordered, request.split, checkpoint=request.checkpoint)
        right = (evidence.logits.argmax(axis=2) == evidence.labels).mean(axis=1)
        top1_of = dict(zip(ordered, right.tolist(), strict=True))
        configurations = tuple(
            sorted(configurations, key=lambda each: -float(np.mean([top1_of[run] for run in each.runs])))
        )
        ordered = [run for each in configurations for run in each.runs]
        evidence = load_evidence(ordered, request.split, checkpoint=request.checkpoint)
    except VidclsError as error:
        left_out |= dict.fromkeys(ordered, error.message)
        return None
    if comparison is None:  # a comparison has recorded the looks that it took
        record_looks(ordered, request.split, checkpoint=request.checkpoint)
    answers = Answers.of(evidence.logits, evidence.labels)
    return Pool(leak_state, configurations, evidence, answers, comparison, refusal)


def settings_of_configuration(configuration: Configuration) -> dict[str, Any]:
    """Settings that the runs of a configuration share, by dotted name."""
    return {key: value for key, value in flatten(settings_of(configuration.runs[0])).items() if key != "seed"}
