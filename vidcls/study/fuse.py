"""Fusion of runs from their stored logits: nothing is trained, and no network is run.

    <folder>/predictions/<split>-<checkpoint>.npz         as for a run
    <folder>/report/<split>-<checkpoint>/fusion.json      the runs, their weights, the gain and its interval
    <folder>/report/<split>-<checkpoint>/metrics.json     and the other files, as for a run

Weights and the best single run come from val, whatever split is shown. Weights tuned on val give results on
val that are too good: the stored val logits are then cross-fitted, each video with weights tuned on videos of
other groups.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, assert_never

import numpy as np

from vidcls.arrays import Floats
from vidcls.drawing import Say
from vidcls.errors import UserError
from vidcls.evaluate.ledger import ledger_of
from vidcls.evaluate.metrics import Metrics, rank_of_label
from vidcls.evaluate.predictions import Predictions
from vidcls.evaluate.report import write_report
from vidcls.files import write_json
from vidcls.run.folder import CHECKPOINTS, Checkpoint, Run
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.jackknife import jackknife_of_means
from vidcls.statistics.scores import Answers, top1
from vidcls.statistics.selection import Selection, selection_of
from vidcls.study.evidence import Evidence, Unit, load_evidence
from vidcls.study.intervals import ends, few_groups, plain_difference
from vidcls.study.logit_pool import cross_fitted, pooled, tuned_weights
from vidcls.study.selection import as_dict as selection_dict

FusedSplit = Literal["val", "test"]
How = Literal["equal", "given", "tuned on val"]

_RECORD = "fusion.json"
HELD_FIXED = "these checkpoints"
"""What the interval of the gain takes as given."""


@dataclass(frozen=True, kw_only=True)
class FusionPlan:
    """Plan of a fusion.

    Attributes:
        runs: Two or more runs.
        checkpoint: Checkpoint whose logits are fused.
        split: Split that is scored.
        how: Source of the weights.
        given: Weights, if they are given; their scale does not matter.
    """

    runs: tuple[Run, ...]
    checkpoint: Checkpoint
    split: FusedSplit
    how: How
    given: tuple[float, ...] = ()

    @property
    def flatters(self) -> bool:
        """Whether the weights were tuned on the same videos that are shown, so that results are too good."""
        return self.how == "tuned on val" and self.split == "val"


@dataclass(frozen=True, eq=False, kw_only=True)
class Fusion:
    """Result of a fusion.

    Attributes:
        weights: Weights of the runs' logits; none is negative, and their sum is 1.
        singles: Metrics of each run.
        fused: Metrics of the fusion; cross-fitted if `FusionPlan.flatters`.
        seen: In that case, the metrics with the weights tuned on the same videos (too good); else None.
        equal: Metrics with equal weights, for comparison; None if the weights are equal.
        best: Index of the single run that is best on val, by top-1, then by loss.
        gain: Top-1 of `fused` minus that of the best run, on the same videos; None if there is one group. Its
            interval is for these checkpoints and new groups, not for new trainings.
        selection: What choosing the best run flatters its own result; None if it was chosen on other videos
            than those shown, or there is one group.
        unit: Unit that is left out in turn for the interval of the gain.
        num_units: Number of these units.
        num_ungrouped: Number of videos whose group is not known; each is a unit of its own.
        leak_state: Leak state of the data, for the split.
        unscored: Reason why a video has no logits, by id; the same for all runs.
        folder: Folder of the stored fusion.
    """

    weights: tuple[float, ...]
    singles: tuple[Metrics, ...]
    fused: Metrics
    seen: Metrics | None
    equal: Metrics | None
    best: int
    gain: Estimate | None
    selection: Selection | None
    unit: Unit
    num_units: int
    num_ungrouped: int
    leak_state: str
    folder: Path
    unscored: Mapping[str, str] = field(default_factory=dict)


def fuse(plan: FusionPlan, *, folder: Path | None = None, say: Say) -> Fusion:
    """Fuse runs and store the result. A fusion that is scored on test is recorded in the ledger first.

    Args:
        plan: Plan of the fusion.
        folder: Folder of the result; None takes one below `fused/` beside the runs, named by its content.
        say: Receives a message about each table or figure that could not be written.

    Raises:
        UserError: If logits are missing (with the command to create them), the runs cannot be fused, or
            `folder` holds a run or another fusion.
        VidclsError: If stored logits are damaged, or the opening of test cannot be recorded.
    """
    if len({run.folder.resolve() for run in plan.runs}) < max(2, len(plan.runs)):
        raise UserError("a fusion needs two or more different runs")
    folder = folder or _folder(plan)
    _refuse_taken(folder, plan)
    evidence = load_evidence(plan.runs, "val", checkpoint=plan.checkpoint)
    on_val = evidence.predictions
    best = min(range(len(on_val)), key=lambda k: _rank(on_val[k]))
    weights = _weights(plan, on_val)
    if plan.split == "test":
        evidence = load_evidence(plan.runs, "test", checkpoint=plan.checkpoint)
        was_seen = Run(folder).predictions_file("test", plan.checkpoint).is_file()
        for ledger in {ledger_of(run).path: ledger_of(run) for run in plan.runs}.values():
            ledger.append(run=str(folder), checkpoint=plan.checkpoint, repeated=was_seen)
    shown, groups = evidence.predictions, evidence.groups
    leaks = ", ".join(dict.fromkeys(run.leak_state for run in evidence.runs))
    logits = _logits(shown)
    plain = _with_logits(shown[0], pooled(logits, weights))
    fused = _cross_fitted(shown[0], logits, groups=groups) if plan.flatters else plain
    equal = _with_logits(shown[0], pooled(logits, _normalised([1.0] * len(shown))))
    fused_run = Run(folder)
    fused.save(fused_run.predictions_file(plan.split, plan.checkpoint))
    report = fused_run.report_dir(plan.split, plan.checkpoint)
    fusion = Fusion(
        weights=tuple(weights),
        singles=tuple(each.metrics() for each in shown),
        fused=write_report(fused, report, leak_state=leaks, say=say),
        seen=plain.metrics() if plan.flatters else None,
        equal=None if plan.how == "equal" else equal.metrics(),
        best=best,
        gain=_gain(_right(fused) - _right(shown[best]), groups),
        selection=_selection(evidence) if plan.split == "val" else None,
        unit=evidence.unit,
        num_units=evidence.num_groups,
        num_ungrouped=evidence.num_ungrouped,
        leak_state=leaks,
        folder=folder,
        unscored=evidence.unscored,
    )
    write_json(report / _RECORD, as_dict(fusion, plan))
    return fusion


def as_dict(fusion: Fusion, plan: FusionPlan) -> dict[str, object]:
    """Fusion as plain values for JSON."""
    split = plan.split
    each = zip(plan.runs, fusion.weights, fusion.singles, strict=True)
    return {
        "identity": _identity(plan),
        "split": split,
        "checkpoint": plan.checkpoint,
        "how": plan.how,
        "manifest_hash": plan.runs[0].provenance()["manifest"]["hash"],
        "leak_state": fusion.leak_state,
        "runs": [
            {"run": str(run.folder), "weight": weight, "metrics": metrics.named(split)}
            for run, weight, metrics in each
        ],
        "is_cross_fitted": plan.flatters,
        "metrics": fusion.fused.named(split),
        "per_class": [asdict(row) for row in fusion.fused.per_class],
        "metrics_seen": None if fusion.seen is None else fusion.seen.named(split),
        "metrics_equal": None if fusion.equal is None else fusion.equal.named(split),
        "best_run": str(plan.runs[fusion.best].folder),
        "gain": None if fusion.gain is None else _plain_gain(fusion.gain, fusion.unit),
        "warnings": [] if (few := few_groups(fusion.num_units, fusion.unit)) is None else [few],
        "selection": None if fusion.selection is None else selection_dict(fusion.selection),
        "num_units": fusion.num_units,
        "num_ungrouped": fusion.num_ungrouped,
        "unscored": dict(fusion.unscored),
        "folder": str(fusion.folder),
    }


def _gain(differences: Floats, groups: Sequence[str]) -> Estimate | None:
    """Mean over videos of one difference: there is one run of each, so only the groups are a sample."""
    if len(set(groups)) < 2:
        return None
    return CrossedEffects.of(jackknife_of_means(differences[None], groups), [0]).mean(0)


def _plain_gain(gain: Estimate, unit: Unit) -> dict[str, object]:
    low, high = ends(gain) or (None, None)
    return {
        "value": gain.value,
        **plain_difference(gain),
        "low": low,
        "high": high,
        "p_value": gain.p_value,
        "over": unit,
        "held_fixed": HELD_FIXED,
    }


def _selection(evidence: Evidence) -> Selection | None:
    """What choosing the best of the runs on these videos flatters: of these checkpoints, not of others."""
    if evidence.num_groups < 2:
        return None
    scores = top1(Answers.of(evidence.logits, evidence.labels), evidence.groups)
    return selection_of(scores, range(len(evidence.runs)))


def _identity(plan: FusionPlan) -> str:
    """Identity of a fusion: it does not depend on the order of the runs or on the split."""
    given = plan.given or (1.0,) * len(plan.runs)
    names = [f"{run.folder.parent.name}/{run.folder.name}" for run in plan.runs]
    content = [plan.how, sorted(zip(names, _normalised(given), strict=True))]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=6).hexdigest()


def _folder(plan: FusionPlan) -> Path:
    runs_dir = min(run.folder.absolute().parent.parent for run in plan.runs)
    return runs_dir / "fused" / _identity(plan)


def _refuse_taken(folder: Path, plan: FusionPlan) -> None:
    if Run(folder).spec_file.is_file():
        raise UserError(
            f"{folder}: is a run, whose results must not be overwritten", hint="name another folder"
        )
    for split in ("val", "test"):
        for which in CHECKPOINTS:
            record = Run(folder).report_dir(split, which) / _RECORD
            if record.is_file() and _identity(plan) not in record.read_text():
                raise UserError(
                    f"{folder}: contains a fusion of other runs or weights", hint="name another folder"
                )


def _normalised(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def _weights(plan: FusionPlan, on_val: Sequence[Predictions]) -> list[float]:
    match plan.how:
        case "equal":
            return _normalised([1.0] * len(plan.runs))
        case "given":
            return _normalised(plan.given)
        case "tuned on val":
            return [float(weight) for weight in tuned_weights(_logits(on_val), on_val[0].labels)]
        case _:
            assert_never(plan.how)


def _cross_fitted(predictions: Predictions, logits: Floats, *, groups: Sequence[str]) -> Predictions:
    said = cross_fitted(logits, predictions.labels, groups)
    if said is None:
        raise UserError(
            "all val videos belong to one group, so weights tuned on them cannot be tested on other groups",
            hint="leave out --tune, or make a val split with several groups",
        )
    return _with_logits(predictions, said)


def _logits(all_predictions: Sequence[Predictions]) -> Floats:
    return np.stack([predictions.logits.astype(np.float64) for predictions in all_predictions])


def _with_logits(predictions: Predictions, logits: Floats) -> Predictions:
    return replace(predictions, logits=logits.astype(np.float32))


def _rank(predictions: Predictions) -> tuple[float, float]:
    metrics = predictions.metrics()
    return -metrics.top1, metrics.loss


def _right(predictions: Predictions) -> Floats:
    return np.asarray(rank_of_label(predictions.logits, predictions.labels) == 0, np.float64)
