"""Tracking with Weights & Biases through its public client. Its failures never stop or delay training.

One daemon thread owns the client. The training loop only puts jobs into a queue, so a slow start, a broken
network, a hanging service process and the encoding of previews do not delay it. The first failure is reported
once; the rest of the run is recorded offline, or not at all. `metrics.jsonl` holds everything in any case.

A resumed run sends all rows from the first one. Online, rows that the server has are skipped by their step,
so rows that a killed client never sent are added and none is sent twice. Offline, every start writes its own
file with all rows; `vidcls sync` sends the rows of `metrics.jsonl` instead.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcls.errors import reason_of
from vidcls.spec.sections import TrackingSection
from vidcls.tracking.client import (
    WandbStart,
    log_confusion,
    log_previews,
    log_row,
    read_mirrors,
    upload_checkpoint,
)
from vidcls.tracking.jsonl import Row
from vidcls.tracking.limits import FINISH, INIT, limit_s, unreachable
from vidcls.tracking.mode import Mode, choose_mode, load_settings
from vidcls.tracking.tracker import NullTracker, Preview, Tracker

if TYPE_CHECKING:
    import wandb

UPLOAD_TIMEOUT_S = 60.0
"""Time limit for the upload of the checkpoint at the end of a finished run."""

RunCall = Callable[["wandb.Run"], None]


def open_tracker(
    section: TrackingSection,
    *,
    run_dir: Path,
    run_id: str,
    name: str,
    group: str,
    spec: Mapping[str, Any],
    leak_state: str,
    history: Sequence[Row],
    warn: Callable[[str], None],
    offline: bool = True,
) -> Tracker:
    """Start tracking as the spec requests. It never raises, never prompts, never waits for the network.

    Args:
        section: Tracking section of the spec.
        run_dir: Folder of the run; the client writes below `wandb/` in it.
        run_id: Id that is the same at every start; under `wandb agent` the agent's id is used.
        name: Readable name of the run.
        group: Group of runs that are shown together, unless the section sets another one.
        spec: Resolved spec, shown as the config.
        leak_state: Leak state of the data, shown with every accuracy: in the config and in the summary.
        history: Rows already in `metrics.jsonl`, after it was truncated to the checkpoint; empty at first.
        warn: Receives a one-line message if tracking differs from the request; also from another thread.
        offline: Start the client also where it would only write a file.
    """
    if section.mode == "disabled":
        return NullTracker()
    try:
        import wandb  # noqa: F401
    except ImportError:
        warn(
            "Weights & Biases is not installed: the run is recorded in metrics.jsonl only; after"
            f" pip install wandb, send it with: vidcls sync {run_dir}"
        )
        return NullTracker()
    try:
        mode = choose_mode(section.mode, warn=warn)
    except Exception as error:  # settings files of the client may be broken
        warn(
            f"Weights & Biases cannot start ({reason_of(error)}): the run is recorded in metrics.jsonl only;"
            f" after correcting this, send it with: vidcls sync {run_dir}"
        )
        return NullTracker()
    if mode == "offline" and not offline:
        warn(f"Weights & Biases is offline: recorded in metrics.jsonl; send it with: vidcls sync {run_dir}")
        mode = "disabled"
    if mode == "disabled":
        return NullTracker()
    run_id = next((mirror.id for mirror in read_mirrors(run_dir) if mirror.sweep is None), run_id)
    who = {"run_id": run_id, "name": name, "group": group}
    start = WandbStart(section=section, run_dir=run_dir, spec=spec, leak_state=leak_state, **who)
    return WandbTracker(start, mode=mode, history=history, warn=warn)


class WandbTracker:
    """Mirrors a run to Weights & Biases; the module docstring explains why it never delays training."""

    def __init__(
        self, start: WandbStart, *, mode: Mode, history: Sequence[Row], warn: Callable[[str], None]
    ) -> None:
        self._start = start
        self._warn = warn
        self._num_rows = 0
        self._complained = False
        self._ended = False
        self._jobs: SimpleQueue[RunCall | None] = SimpleQueue()
        for row in history:
            self.log(row)
        # Daemon thread, so that a hanging client does not keep the process from ending.
        self._thread = threading.Thread(target=self._work, args=(mode,), name="wandb", daemon=True)
        self._thread.start()

    def log(self, row: Row) -> None:
        """Mirror one row of `metrics.jsonl`."""
        number = self._num_rows
        self._num_rows += 1
        self._put(lambda run: log_row(run, number, row))

    def log_previews(self, previews: Sequence[Preview]) -> None:
        """Show clips, encoded as MP4, with the next row."""
        number = self._num_rows
        if previews:
            self._put(lambda run: log_previews(run, number, previews))

    def log_confusion(self, counts: np.ndarray, classes: Sequence[str]) -> None:
        """Show a confusion matrix with the next row."""
        number = self._num_rows
        self._put(lambda run: log_confusion(run, number, counts, classes))

    def log_checkpoint(self, path: Path, *, metrics: Mapping[str, float]) -> None:
        """Upload a checkpoint as an artifact, unless the spec or a sweep disables it."""
        if self._start.section.artifact and not os.environ.get("WANDB_SWEEP_ID"):
            self._put(lambda run: upload_checkpoint(run, path, metrics, timeout_s=UPLOAD_TIMEOUT_S))

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Set the values of this run in a table of runs."""
        self._put(lambda run: run.summary.update(dict(values)))

    def finish(self, *, exit_code: int, preempted: bool = False) -> None:
        """End the record. If the job is preempted, it does not wait long for a slow server."""

        def job(run: wandb.Run) -> None:
            if preempted:
                run.mark_preempting()
            run.finish(exit_code=exit_code)

        self._put(job)
        self._jobs.put(None)
        # A training may end before the client has started.
        unhurried_s = 0.0 if preempted else limit_s(INIT) + UPLOAD_TIMEOUT_S
        self._thread.join(limit_s(FINISH) + unhurried_s)
        if self._thread.is_alive():
            self._complain("it did not finish in time")
        self._ended = True

    def _put(self, job: RunCall) -> None:
        if not self._ended:
            self._jobs.put(job)

    def _work(self, mode: Mode) -> None:
        try:
            run = self._begin(mode)
        except BaseException as error:  # training continues after any error of the client
            self._complain(reason_of(error))
            self._ended = True
            return
        while (job := self._jobs.get()) is not None:
            try:
                job(run)
            except BaseException as error:  # a failed preview must not lose the metrics after it
                self._complain(reason_of(error))

    def _begin(self, mode: Mode) -> wandb.Run:
        import wandb

        if mode == "online":
            try:
                if reason := unreachable(load_settings().base_url):
                    raise ConnectionError(reason)
                return self._start("online", finish_timeout_s=limit_s(FINISH))
            except Exception as error:  # no network, a refused key, a server problem
                self._warn(
                    f"Weights & Biases cannot be reached ({reason_of(error)}): recorded offline;"
                    f" send it with: vidcls sync {self._start.run_dir}"
                )
            # The service process still holds the id of the failed attempt.
            wandb.teardown()
            load_settings()
        return self._start("offline", finish_timeout_s=limit_s(FINISH))

    def _complain(self, reason: str) -> None:
        if not self._complained:
            self._complained = True
            with contextlib.suppress(Exception):  # the terminal may be gone; this must not end the thread
                self._warn(
                    f"Weights & Biases did not record everything ({reason}); metrics.jsonl has all "
                    f"metrics; send them with: vidcls sync {self._start.run_dir}"
                )
