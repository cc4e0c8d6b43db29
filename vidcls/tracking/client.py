"""Calls of the Weights & Biases client, shared by tracking and sync; each call may raise or block.

The step of W&B is the number of the row in `metrics.jsonl`. Charts use `step` and `epoch` of the rows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from vidcls.files import write_json
from vidcls.json_files import DamagedError, read_json
from vidcls.spec.sections import TrackingSection
from vidcls.text import printable
from vidcls.tracking.jsonl import Row
from vidcls.tracking.limits import INIT, SERVICE, limit_s
from vidcls.tracking.mode import Mode
from vidcls.tracking.previews import encode_clip
from vidcls.tracking.tracker import Preview

if TYPE_CHECKING:
    import wandb

MAX_CELLS = 10_000
"""Maximum number of rows of a table in W&B, which drops other rows without a message."""


@dataclass(frozen=True)
class Mirror:
    """W&B run that shows a run of vidcls; under an agent, the run chosen by the agent.

    Attributes:
        id: Id of the W&B run.
        entity: User or team; None for the logged-in user.
        project: Project of the W&B run.
        sweep: Id of the sweep that started it.
    """

    id: str
    entity: str | None
    project: str | None
    sweep: str | None = None


_MIRRORS = TypeAdapter(list[Mirror])


def read_mirrors(run_dir: Path) -> list[Mirror]:
    """W&B runs that have shown a run so far, if they were online at least once."""
    try:
        return read_json(_mirrors_file(run_dir), _MIRRORS, hint="remove it")
    except (FileNotFoundError, DamagedError):  # then a new W&B run is used
        return []


def _note_mirror(run_dir: Path, mirror: Mirror) -> None:
    others = [other for other in read_mirrors(run_dir) if other.id != mirror.id]
    write_json(_mirrors_file(run_dir), [asdict(entry) for entry in (*others, mirror)])


def _mirrors_file(run_dir: Path) -> Path:
    return run_dir / "wandb" / "mirrors.json"


@dataclass(frozen=True, kw_only=True)
class WandbStart:
    """Settings with which a W&B run is started."""

    section: TrackingSection
    run_dir: Path
    run_id: str
    name: str
    group: str
    spec: Mapping[str, Any]
    leak_state: str

    def __call__(self, mode: Mode, *, finish_timeout_s: float) -> wandb.Run:
        """Start the W&B run, or resume it if it exists on the server.

        Args:
            mode: `online` or `offline`.
            finish_timeout_s: Maximum wait for pending uploads at the end, in seconds.
        """
        import wandb

        _skip_launch()
        section = self.section
        run = wandb.init(
            mode=mode,
            reinit="create_new",  # do not reuse a run that is open in the user's notebook
            id=self.run_id,  # under an agent, the agent's id is used
            # Offline there is no server to resume from; the replayed history makes the new file complete.
            resume="allow" if mode == "online" else None,
            project=section.project,
            entity=section.entity,
            name=self.name,
            group=section.group or self.group,
            tags=section.tags,
            notes=section.notes,
            config={**self.spec, "leak_state": self.leak_state},
            dir=str(self.run_dir),
            settings=quiet_settings(mode, finish_timeout_s=finish_timeout_s),
        )
        run.define_metric("epoch", hidden=True)
        run.define_metric("step", hidden=True)
        for pattern in ("train/*", "lr", "grad_norm", "clips_per_s", "waiting_s", "resident_mib"):
            run.define_metric(pattern, step_metric="step")
        run.define_metric("val/*", step_metric="epoch")
        run.summary["leak_state"] = self.leak_state
        if mode == "online":
            _note_mirror(self.run_dir, Mirror(run.id, run.entity, run.project, _sweep()))
        return run


def quiet_settings(mode: Mode, *, finish_timeout_s: float) -> wandb.Settings:
    """Settings of a W&B run that prints nothing and sends no code; its debug log is switched off.

    Args:
        mode: `online` or `offline`.
        finish_timeout_s: Maximum wait for pending uploads at the end, in seconds.
    """
    import wandb

    # On a full disk, its debug log would print a traceback to the terminal for each line.
    logging.getLogger("wandb").disabled = True
    return wandb.Settings(
        # Offline there is only the local service to wait for.
        init_timeout=limit_s(INIT if mode == "online" else SERVICE),
        finish_timeout=finish_timeout_s,
        finish_timeout_raises=True,
        console="off",
        silent=True,
        # The provenance of the run is better, and a git remote URL may contain a password.
        disable_git=True,
        disable_code=True,
        save_code=False,
    )


@cache
def _skip_launch() -> None:
    """Keep the client from loading its package for W&B Launch at the start of a run, which takes a second.

    The client looks for inputs that the user has staged there, which needs the package to be loaded before.
    """
    name = "_detect_and_apply_job_inputs"  # internal, and may change; then the package is loaded
    with contextlib.suppress(ImportError, AttributeError):
        from wandb.sdk.wandb_run import Run

        apply_inputs = getattr(Run, name)

        def apply_staged_inputs(run: Run) -> None:
            if "wandb.sdk.launch" in sys.modules:
                apply_inputs(run)

        setattr(Run, name, apply_staged_inputs)


def _sweep() -> str | None:
    """Id of the sweep whose agent runs this process."""
    return os.environ.get("WANDB_SWEEP_ID")


def log_row(run: wandb.Run, number: int, row: Row) -> None:
    """Send one row of `metrics.jsonl`, unless the server already has it."""
    values = {key: value for key, value in row.items() if isinstance(value, int | float)}
    if number >= run.starting_step:
        run.log(values, step=number, commit=True)


def log_previews(run: wandb.Run, number: int, previews: Sequence[Preview]) -> None:
    """Send clips, encoded as MP4, with a row, unless the server already has it."""
    import wandb

    if number < run.starting_step:
        return

    videos = [
        wandb.Video(encode_clip(preview.clip), caption=preview.caption, format="mp4") for preview in previews
    ]
    run.log({"val/previews": videos}, step=number, commit=False)


def log_confusion(run: wandb.Run, number: int, counts: np.ndarray, classes: Sequence[str]) -> None:
    """Send a confusion matrix, int `[K true, K predicted]`, with a row, unless the server has it."""
    import wandb

    if number < run.starting_step:
        return

    cells = confusion_cells(counts, classes)
    title = "Confusion matrix (val)"
    if len(cells) == MAX_CELLS:
        title += f": its {MAX_CELLS:,} largest cells; report/val-best/confusion.csv has all cells"
    columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
    chart = wandb.plot_table(
        "wandb/confusion_matrix/v1",
        wandb.Table(columns=columns, data=cells),
        fields={str(column): column for column in columns},
        string_fields={"title": title},
    )
    run.log({"val/confusion": chart}, step=number, commit=False)


def confusion_cells(counts: np.ndarray, classes: Sequence[str]) -> list[list[str | int]]:
    """Cells of a confusion matrix that fit into a W&B table: true class, predicted class, videos.

    Empty cells are left out, except on the diagonal, which names every class; the largest come first.
    """
    # The diagonal is kept even if empty; other cells only if not zero.
    weights = counts + np.eye(len(counts)) / 2
    at = np.argwhere(weights)
    order = np.argsort(-weights[tuple(at.T)], kind="stable")[:MAX_CELLS]
    names = [printable(name) for name in classes]
    return [[names[true], names[predicted], int(counts[true, predicted])] for true, predicted in at[order]]


def upload_checkpoint(run: wandb.Run, path: Path, metrics: Mapping[str, float], *, timeout_s: float) -> None:
    """Upload the best checkpoint as an artifact; equal content is stored once."""
    import wandb

    artifact = wandb.Artifact(f"run-{run.id}-best", type="model", metadata=dict(metrics))
    # By reference, because the default copies the file twice into a cache in the home folder.
    artifact.add_file(str(path), policy="immutable", skip_cache=True)
    logged = run.log_artifact(artifact, aliases=["best"])
    if not run.offline:
        logged.wait(timeout=int(timeout_s))
