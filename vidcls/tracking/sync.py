"""Uploads a run's folder to Weights & Biases, complete and without duplicates, any number of times.

It sends `metrics.jsonl`. The files of the W&B client are not read: those of a killed client are incomplete,
and an offline run has one for each start. The server keeps its rows, with their previews; missing rows are
added.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidcls.errors import UserError, VidclsError
from vidcls.run.folder import Run
from vidcls.run.shapes import Status
from vidcls.spec.show import plain
from vidcls.tracking.client import Mirror, WandbStart, log_confusion, log_row, read_mirrors, upload_checkpoint
from vidcls.tracking.jsonl import Row, read_rows
from vidcls.tracking.mode import has_credentials, load_settings

UPLOAD_TIMEOUT_S = 300.0
"""Time limit for one run."""


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix, int `[K true, K predicted]`, and the class names."""

    counts: np.ndarray
    classes: Sequence[str]


def check_login() -> None:
    """Refuse to start without a key.

    Raises:
        UserError: If there is no key for the server.
    """
    try:
        settings = load_settings()
    except ImportError:
        raise UserError("Weights & Biases is not installed", hint="pip install wandb") from None
    if not has_credentials(settings):
        raise UserError(f"no credentials for {settings.base_url}", hint="wandb login")


def upload(run: Run, *, leak_state: str, confusion: Confusion | None = None) -> list[str]:
    """Upload a run to each W&B run that shows it.

    Args:
        run: Run that no process trains at the moment.
        leak_state: Leak state of its data.
        confusion: Confusion matrix of its best checkpoint on val, sent if the server has none.

    Returns:
        W&B runs as `entity/project/id`.

    Raises:
        VidclsError: If the upload is incomplete, or the folder is damaged.
    """
    spec, rows, status = run.spec(), read_rows(run.metrics_file), run.status()
    here = Mirror(run.wandb_id, spec.tracking.entity, spec.tracking.project)
    try:
        return [
            _send(run, mirror, leak_state=leak_state, rows=rows, status=status, confusion=confusion)
            for mirror in read_mirrors(run.folder) or [here]
        ]
    except VidclsError:
        raise
    except Exception as error:  # any error of the client
        import wandb

        # The service process would keep trying, and it holds the id of the failed attempt.
        with contextlib.suppress(Exception):
            wandb.teardown()
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise VidclsError(
            f"{run.folder}: not everything was sent: {reason}",
            hint=f"when the network works again: vidcls sync {run.folder}",
        ) from error


def _send(
    run: Run,
    mirror: Mirror,
    *,
    leak_state: str,
    rows: Sequence[Row],
    status: Status | None,
    confusion: Confusion | None,
) -> str:
    spec = run.spec()
    place = {"entity": mirror.entity, "project": mirror.project}
    section = spec.tracking.model_copy(update={key: value for key, value in place.items() if value})
    start = WandbStart(
        section=section,
        run_dir=run.folder,
        run_id=mirror.id,
        name=f"{spec.name}-s{spec.seed}",
        group=spec.name,
        spec=plain(spec),
        leak_state=leak_state,
    )
    shown = start("online", finish_timeout_s=UPLOAD_TIMEOUT_S)
    for number, row in enumerate(rows):
        log_row(shown, number, row)
    state = status.state if status else "interrupted"
    if status and state == "finished":
        shown.summary.update({f"best/{name}": value for name, value in status.metrics.items()})
        if confusion is not None:
            log_confusion(shown, len(rows), confusion.counts, confusion.classes)
        best = run.checkpoint_file("best")
        if section.artifact and mirror.sweep is None and best.is_file():
            upload_checkpoint(shown, best, status.metrics, timeout_s=UPLOAD_TIMEOUT_S)
    elif state not in ("stopped", "failed"):
        shown.mark_preempting()  # it will be resumed: shown as preempted, not as failed
    shown.finish(exit_code=0 if state in ("stopped", "finished") else 1)
    return f"{shown.entity}/{shown.project}/{shown.id}"
