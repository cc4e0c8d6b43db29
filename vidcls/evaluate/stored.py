"""Stored evaluations: unchanged weights on unchanged data are not scored again. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidcls.choices import Split
from vidcls.data.checksums import file_digest
from vidcls.drawing import Say
from vidcls.errors import VidclsError
from vidcls.evaluate.ledger import ledger_of
from vidcls.evaluate.metrics import Metrics
from vidcls.evaluate.prediction_tables import has_tables
from vidcls.evaluate.predictions import Predictions, load_predictions
from vidcls.evaluate.report import CONFUSION_PICTURE, METRICS_FILE, write_report
from vidcls.evaluate.run_data import data_of
from vidcls.evaluate.run_table import Evaluation
from vidcls.leaks.run_state import leaks_of
from vidcls.run.folder import CHECKPOINTS, Checkpoint, Run
from vidcls.spec.fingerprint import identity
from vidcls.spec.show import flatten, plain
from vidcls.user_code.copies import using

AskedCheckpoints = Literal["best", "last", "all"]


@dataclass(frozen=True)
class Scoring:
    """One checkpoint of one run on one split.

    Attributes:
        run: Run.
        which: Checkpoint of the run.
        stored: Stored predictions for these videos; None if they must be scored.
    """

    run: Run
    which: Checkpoint
    stored: Predictions | None


def plan_scoring(
    runs: Sequence[Run], split: Split, *, checkpoint: AskedCheckpoints, anew: bool
) -> tuple[list[Scoring], dict[Run, str]]:
    """Plan what to score and what is stored; also return why runs are left out.

    Args:
        runs: Runs in any state.
        split: Split to score.
        checkpoint: Checkpoints to score.
        anew: Score stored evaluations again, if the weights exist.

    Raises:
        VidclsError: If a run is damaged.
    """
    chosen: list[Scoring] = []
    left_out: dict[Run, str] = {}
    for run in runs:
        own: list[Scoring] = []
        for which in CHECKPOINTS:
            if checkpoint not in (which, "all"):
                continue
            has_weights = run.checkpoint_file(which).is_file()
            found = None if anew and has_weights else stored_predictions(run, split, which)
            if has_weights or found is not None:
                own.append(Scoring(run, which, found))
        if not own:
            left_out[run] = _why_left_out(run, split, checkpoint)
        chosen += own
    return chosen, left_out


def _why_left_out(run: Run, split: Split, checkpoint: AskedCheckpoints) -> str:
    if (why := run.why_removed()) is not None:
        return f"its weights were removed, and their logits on {split} were not stored: {why}"
    try:
        state = run.state
    except VidclsError as error:
        state = error.message
    if state == "finished":
        return f"no checkpoint {checkpoint!r}; train.keep_last=true keeps the last one of a finished run"
    return f"no checkpoint {checkpoint!r} yet: {state}"


def stored_predictions(run: Run, split: Split, which: Checkpoint) -> Predictions | None:
    """Stored predictions of a run's checkpoint for a split, if its weights are unchanged or removed.

    Raises:
        VidclsError: If the file is damaged and there are no weights to score the videos again.
    """
    path, digest = run.predictions_file(split, which), checkpoint_digest(run, which)
    if not path.is_file():
        return None
    # Metrics are written after the predictions: if they name these weights, both belong to them.
    if digest is not None and _reported(run.report_dir(split, which)).get("checkpoint_digest") != digest:
        return None
    try:
        found = load_predictions(path)
    except VidclsError:
        if digest is None:
            raise
        return None
    if is_of_earlier_epoch(run, which, found.epoch):
        return None
    return found if found.manifest_hash == run.provenance()["manifest"]["hash"] else None


def is_of_earlier_epoch(run: Run, which: Checkpoint, epoch: int) -> bool:
    """Whether logits are of another epoch than the checkpoint that was removed: training went on after them.

    Args:
        run: Run.
        which: Checkpoint; while its weights exist, their digest tells, and the answer is no.
        epoch: Epoch of the logits.
    """
    status = run.status()
    if status is None or run.checkpoint_file(which).is_file():
        return False
    return epoch != (status.best_epoch if which == "best" else status.epoch)


def checkpoint_digest(run: Run, which: Checkpoint) -> str | None:
    """Digest of the content of a checkpoint file; None if there is no file."""
    try:
        return file_digest(run.checkpoint_file(which))
    except FileNotFoundError:
        return None


def show_again(scoring: Scoring, split: Split, *, say: Say) -> Metrics:
    """Metrics of stored predictions; for test, the repeated opening is recorded in the ledger first.

    Args:
        scoring: Scoring with stored predictions.
        split: Split of the predictions.
        say: Receives a message about each table or figure that could not be written.

    Raises:
        VidclsError: If an opening of test cannot be recorded.
    """
    run, predictions = scoring.run, scoring.stored
    assert predictions is not None
    if split == "test":
        ledger_of(run).append(run=str(run.folder), checkpoint=scoring.which, repeated=True)
    folder = run.report_dir(split, scoring.which)
    leak_state = _leak_state(run, split)
    reported = _reported(folder)
    is_complete = (folder / CONFUSION_PICTURE).exists() and has_tables(folder)
    if reported.get("leak_state") == leak_state and is_complete:
        return predictions.metrics()
    return write_report(
        predictions,
        folder,
        leak_state=leak_state,
        checkpoint_digest=reported.get("checkpoint_digest"),
        say=say,
    )


def _reported(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / METRICS_FILE).read_text())
    except (OSError, ValueError):
        return {}  # missing or incomplete: it is written again
    return content if isinstance(content, dict) else {}


def _leak_state(run: Run, split: Split) -> str:
    return leaks_of(run).of_split(split)


def refuse_other_data(runs: Sequence[Run]) -> None:
    """Refuse runs whose data has changed; each data set is checked only once.

    Raises:
        UserError: As for `data_of`.
    """
    one_of: dict[str, Run] = {}
    for run in runs:
        provenance = run.provenance()
        data = [run.spec().data.model_dump(), provenance["data_root"], provenance["manifest"]]
        one_of.setdefault(json.dumps(data, sort_keys=True), run)
    for run in one_of.values():
        data_of(run)


def points_of(runs: Sequence[Run]) -> list[str]:
    """Point of each run as text, such as `optim.lr=0.003 seed=1`; empty if it does not identify the run."""
    points = [" ".join(f"{key}={_short(value)}" for key, value in of.items()) for of in differences_of(runs)]
    names = [(run.folder.parent.name, point) for run, point in zip(runs, points, strict=True)]
    return [name[1] if names.count(name) == 1 else "" for name in names]


def _short(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


def as_evaluation(scoring: Scoring, *, split: Split, metrics: Metrics, point: str) -> Evaluation:
    """Metrics of a run as a row of a table, with its val top-1."""
    run, which = scoring.run, scoring.which
    val_top1: float | None = metrics.top1
    if split != "val":
        on_val = stored_predictions(run, "val", which)
        val_top1 = None if on_val is None else on_val.metrics().top1
    return Evaluation(
        run=f"{run.folder.parent.name}/{run.folder.name}",
        checkpoint=which,
        split=split,
        manifest_hash=run.provenance()["manifest"]["hash"],
        leak_state=_leak_state(run, split),
        num_videos=metrics.num_videos,
        metrics={name.partition("/")[2]: value for name, value in metrics.named(split).items()},
        val_top1=val_top1,
        point=point,
    )


def differences_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Settings of each run that differ among the runs of its experiment, such as the point of a trial."""
    settings = [settings_of(run) for run in runs]
    peers: dict[Path, list[dict[str, Any]]] = {}
    for run, mine in zip(runs, settings, strict=True):
        peers.setdefault(run.folder.parent, []).append(mine)
    varying = {
        folder: {key for mine in of for key in mine if any(other.get(key) != mine[key] for other in of)}
        for folder, of in peers.items()
    }
    return [
        {key: value for key, value in mine.items() if key in varying[run.folder.parent]}
        for run, mine in zip(runs, settings, strict=True)
    ]


def settings_of(run: Run) -> dict[str, Any]:
    """Settings of a run that can change its result; of code that is damaged, only its name."""
    spec = run.spec()
    try:
        with using(run.code_dir):
            found = identity(spec)
    except VidclsError:
        found = plain(spec)
    return {**flatten(found), "seed": spec.seed}
