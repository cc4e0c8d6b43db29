"""Tidy tables of many runs, for pandas, polars, R and spreadsheets: a row per run, epoch or video.

All three begin with the columns that identify a run, so they can be joined by `run`. Test results are not in
them, except for stored test predictions that are asked for: selection is by val.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.prediction_tables import COLUMNS, prediction_blocks, probability_columns
from vidcls.evaluate.predictions import load_predictions
from vidcls.evaluate.stored import stored_predictions
from vidcls.leaks.run_state import recorded_leaks
from vidcls.run.folder import Run
from vidcls.run.shapes import Status
from vidcls.spec.show import flatten
from vidcls.study.evidence import record_looks
from vidcls.tables import Block, Kind, Table, table_of
from vidcls.tracking.jsonl import read_rows

ReadSplit = Literal["val", "test"]
Facts = Mapping[str, Any]

_FOLDER = re.compile(r"([0-9a-f]{12})-s\d+")
_KEYS: Mapping[str, Kind] = {"run": "text", "name": "text", "fingerprint": "text", "seed": "int"}
_IN_SWEEP: Mapping[str, Kind] = {"sweep": "text", "trial": "int", "configuration": "int", "repeat": "int"}
_OF_LAST_START = ("code", "python", "device", "processor", "host")
_OF_FIRST_START = ("threads", "precision", "residency", "started")


@dataclass(frozen=True)
class ReadRun:
    """Run whose files are intact.

    Attributes:
        run: Run.
        settings: Its settings, as plain values.
        provenance: Its provenance.
        status: Its status; None before the first epoch.
        state: Its state.
        leak_state: Leak state of its data.
    """

    run: Run
    settings: Facts
    provenance: Facts
    status: Status | None
    state: str
    leak_state: str

    @classmethod
    def of(cls, run: Run) -> ReadRun:
        """Read the files of a run.

        Raises:
            VidclsError: If one is damaged, or of another version of vidcls.
        """
        provenance, status = run.provenance(), run.status()
        settings = run.settings(provenance)
        leaks = recorded_leaks(provenance, joined=settings["data"]["join_val"])
        return cls(run, settings, provenance, status, run.state_of(status), str(leaks))

    @cached_property
    def keys(self) -> dict[str, Any]:
        """Columns that identify the run."""
        match = _FOLDER.fullmatch(self.run.folder.name)
        return {
            "run": str(self.run.folder),
            "name": self.settings["name"],
            "fingerprint": match[1] if match else None,
            "seed": self.settings["seed"],
        }


def runs_table(runs: Sequence[ReadRun], *, in_sweep: Mapping[Run, Facts]) -> Table:
    """Table with a row per run: keys, state, final metrics, data, code, machine, times, and all settings.

    Args:
        runs: Runs in any state.
        in_sweep: Sweep, trial, configuration and repeat of the runs that are trials.
    """
    return table_of(
        runs_rows(runs, in_sweep=in_sweep), known={**_IN_SWEEP, "best_epoch": "int", "energy_j": "float"}
    )


def runs_rows(runs: Sequence[ReadRun], *, in_sweep: Mapping[Run, Facts]) -> list[dict[str, Any]]:
    """Rows of `runs_table`, all with the same keys in the same order."""
    rows = [_row(each, in_sweep.get(each.run, {})) for each in runs]
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key) for key in keys} for row in rows]


def _row(each: ReadRun, in_sweep: Facts) -> dict[str, Any]:
    status, provenance = each.status, each.provenance
    last_start = provenance["resumes"][-1] if provenance["resumes"] else provenance
    row = {
        **each.keys,
        "state": each.state,
        "message": (status.message or None) if status else None,
        **{name: in_sweep.get(name) for name in _IN_SWEEP},
        "leak_state": each.leak_state,
        "manifest_hash": provenance["manifest"]["hash"],
        "epoch": status.epoch if status else 0,
        "best_epoch": status.best_epoch if status else None,
        "elapsed_s": float(status.elapsed_s) if status else 0.0,
        "energy_j": status.energy_j if status else None,
        **(status.metrics if status else {}),
        **{name: last_start.get(name) for name in _OF_LAST_START},
        "torch": last_start["versions"].get("torch"),
        **{name: provenance.get(name) for name in _OF_FIRST_START},
        "resumes": len(provenance["resumes"]),
        "updated": (status.updated or None) if status else None,
    }
    # `name` and `seed` are settings too, with the same values.
    return {**row, **{key: value for key, value in flatten(each.settings).items() if key not in row}}


def epochs_table(runs: Sequence[ReadRun]) -> tuple[Table, dict[Run, str]]:
    """Table with a row per run and epoch, from `metrics.jsonl`; also return why runs are left out."""
    rows = []
    left_out: dict[Run, str] = {}
    for each in runs:
        try:
            found = read_rows(each.run.metrics_file)
        except FileNotFoundError:
            left_out[each.run] = f"no metrics yet: {each.state}"
            continue
        except VidclsError as error:
            left_out[each.run] = error.message
            continue
        epochs = (row for row in found if row.get("kind") == "epoch")
        rows += [each.keys | {key: value for key, value in row.items() if key != "kind"} for row in epochs]
    return table_of(rows), left_out


def videos_table(runs: Sequence[ReadRun], *, split: ReadSplit) -> tuple[Table, dict[Run, str]]:
    """Table with a row per run and video, from the stored predictions of the best checkpoints.

    Test predictions that are read are recorded as a repeated look in the ledger first; nothing is scored.

    Args:
        runs: Runs in any state.
        split: Split of the predictions.

    Returns:
        The table, and why runs are left out.

    Raises:
        UserError: If no run has predictions of its present weights.
        VidclsError: If a look at test cannot be recorded.
    """
    columns: dict[str, Kind] = {}
    chosen: list[ReadRun] = []
    left_out: dict[Run, str] = {}
    for each in runs:
        try:
            found = stored_predictions(each.run, split, "best")
        except VidclsError as error:
            left_out[each.run] = error.message
            continue
        if found is None:
            left_out[each.run] = f"no stored {split} predictions of its best checkpoint: {each.state}"
            continue
        chosen.append(each)
        columns |= dict.fromkeys(probability_columns(found.classes), "float32")
    if not chosen:
        reasons = "".join(f"\n  {reason}" for reason in dict.fromkeys(left_out.values()))
        raise UserError(
            f"no {split} predictions in {len(runs)} run(s):{reasons}",
            hint=f"vidcls evaluate RUN --split {split} scores the videos and stores their predictions",
        )
    record_looks([each.run for each in chosen], split, checkpoint="best")
    kinds: dict[str, Kind] = {**_KEYS, "split": "text", **COLUMNS, **columns}
    return Table(kinds, _video_blocks(chosen, split)), left_out


def _video_blocks(runs: Sequence[ReadRun], split: ReadSplit) -> Iterator[Block]:
    """Read the predictions again, so that those of only one run are in memory at a time."""
    for each in runs:
        found = load_predictions(each.run.predictions_file(split, "best"))
        for block in prediction_blocks(found):
            num = len(block["video"])
            keys = {name: [value] * num for name, value in {**each.keys, "split": split}.items()}
            yield {**keys, **block}
