"""Compares runs: reads their stored logits, refuses what is no comparison, records looks at test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vidcls.choices import Split
from vidcls.evaluate.ledger import ledgers_of
from vidcls.run.folder import Checkpoint, Run
from vidcls.study.compare.comparison import Member, Question, Scored, compare_scored
from vidcls.study.compare.refusals import comparable_evidence, refuse_single
from vidcls.study.compare.results import Comparison, Ground, Metric
from vidcls.study.configurations import Configuration, configurations_of
from vidcls.study.evidence import Evidence, record_looks

_BEST_EPOCH = "best epoch chosen on these videos"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks of a comparison of runs.

    Attributes:
        split: Split of the stored logits.
        checkpoint: Checkpoint of the stored logits.
        metric: Score that decides.
        margin: Difference that does not matter, as a share; None if all do.
        across_data: Compare runs of different data, by the videos that all of them scored.
        chosen: How a run may have been chosen by its score on val, such as the best trial of a sweep.
    """

    split: Split = "val"
    checkpoint: Checkpoint = "best"
    metric: Metric = "top1"
    margin: float | None = None
    across_data: bool = False
    chosen: Mapping[Run, str] = field(default_factory=dict)


def compare_runs(runs: Sequence[Run], request: Request) -> Comparison:
    """Compare the configurations of runs; nothing is scored. A look at test is recorded in the ledger first.

    Args:
        runs: Runs of two or more configurations; runs of one configuration are its repeats.
        request: What is asked.

    Raises:
        UserError: If the runs cannot be compared; the message says what would make them comparable.
        VidclsError: If a file of a run is damaged, or a look at test cannot be recorded.
    """
    configurations = configurations_of(runs)
    refuse_single(configurations)
    ordered = [run for configuration in configurations for run in configuration.runs]
    evidence = comparable_evidence(
        ordered, request.split, checkpoint=request.checkpoint, across_data=request.across_data
    )
    flattered = {run: tuple(flattered_by(run, request)) for run in ordered}
    record_looks(ordered, request.split, checkpoint=request.checkpoint)
    looks = _looks(ordered) if request.split == "test" else {}
    question = Question(
        metric=request.metric,
        margin=request.margin,
        num_compared=looks.get("num_configurations", 0),
        looks=looks,
        num_data=len({each.manifest_hash for each in evidence.runs}),
        unscored=evidence.unscored,
    )
    leak_of = {each.run: each.leak_state for each in evidence.runs}
    members = [_member(each, leak_of, flattered) for each in configurations]
    return compare_scored(
        _scored(evidence, configurations), members, ground=_ground(evidence), question=question
    )


def flattered_by(run: Run, request: Request) -> list[str]:
    """What was chosen on the videos that are scored, of a finished run; it makes its score too high."""
    if request.split != "val":
        return []
    status = run.status()
    assert status is not None, "a finished run has a status"
    is_chosen = request.checkpoint == "best" and status.num_epochs > 1
    return [*([_BEST_EPOCH] if is_chosen else []), *([request.chosen[run]] if run in request.chosen else [])]


def _member(
    configuration: Configuration, leak_of: Mapping[Run, str], flattered: Mapping[Run, tuple[str, ...]]
) -> Member:
    runs = configuration.runs
    return Member(
        label=configuration.label,
        key=configuration.key,
        seeds=configuration.seeds,
        runs=tuple(str(run.folder) for run in runs),
        leak_state=", ".join(dict.fromkeys(leak_of[run] for run in runs)),
        flattered=tuple(dict.fromkeys(what for run in runs for what in flattered[run])),
    )


def _scored(evidence: Evidence, configurations: Sequence[Configuration]) -> Scored:
    return Scored(
        logits=evidence.logits,
        labels=evidence.labels,
        groups=evidence.groups,
        classes=evidence.classes,
        configurations=tuple(number for number, each in enumerate(configurations) for _ in each.runs),
    )


def _ground(evidence: Evidence) -> Ground:
    return Ground(
        split=evidence.split,
        checkpoint=evidence.checkpoint,
        num_videos=len(evidence.ids),
        num_groups=evidence.num_groups,
        unit=evidence.unit,
        num_ungrouped=evidence.num_ungrouped,
        leak_states=tuple(dict.fromkeys(each.leak_state for each in evidence.runs)),
    )


def _looks(runs: Sequence[Run]) -> dict[str, int]:
    """How often the test split was opened, and for how many configurations, by all that opened it."""
    ledgers = [ledger for ledger, _ in ledgers_of(runs)]
    return {
        "num_openings": sum(ledger.count for ledger in ledgers),
        "num_configurations": sum(ledger.num_configurations for ledger in ledgers),
    }
