"""Weights & Biases, through the public client. Whatever happens to it, training neither stops nor waits.

One daemon thread owns the client. The training loop only puts jobs into a queue, so a slow start, a dead
network, a hanging service process and the encoding of previews cost it nothing. The first failure is said
once; the rest of the run is recorded offline, or not at all. `metrics.jsonl` holds everything in any case.

The step of W&B is the number of the row in `metrics.jsonl`, and a resumed run hands over all rows from the
first. Online those that the server has are dropped by their step, so rows that a killed client never sent
are filled in and none comes twice. Offline every start writes a file of its own, and at `wandb sync` the last
one replaces the others: it is whole, because it holds all rows. Charts take `step` and `epoch` of the rows.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcls.spec.sections import TrackingSection
from vidcls.tracking.jsonl import Row
from vidcls.tracking.mode import Mode, choose_mode, load_settings
from vidcls.tracking.previews import encode_clip
from vidcls.tracking.tracker import NullTracker, Preview, Tracker

if TYPE_CHECKING:
    import wandb

INIT_TIMEOUT_S = 20.0
"""How long the server may take to answer at the start, two seconds being usual."""
FINISH_TIMEOUT_S = 15.0
"""How long the end may wait for what is not uploaded yet; shorter than the 30 s from TERM to KILL of a queue.
What is left stays in the run's folder for `wandb sync`."""
UPLOAD_TIMEOUT_S = 60.0
"""How long the end of a finished run may wait for the upload of its checkpoint."""

Job = Callable[["wandb.Run"], None]


def open_tracker(
    section: TrackingSection,
    *,
    run_dir: Path,
    run_id: str,
    name: str,
    group: str,
    spec: Mapping[str, Any],
    history: Sequence[Row],
    warn: Callable[[str], None],
) -> Tracker:
    """Starts tracking as the spec asks. Never raises, never prompts, never waits for the network.

    Args:
        section: What was asked for.
        run_dir: Folder of the run; the client writes below `wandb/` in it.
        run_id: The same at every start of the run. Under `wandb agent` the agent's id wins.
        name: Name of the run, for people.
        group: Runs with one group are shown together, unless the section names another.
        spec: The resolved spec, shown as the config.
        history: Rows already in `metrics.jsonl`, after it was truncated to the checkpoint; empty at first.
        warn: Told, in one line, what is not as asked. Is also called from another thread.
    """
    if section.mode == "disabled":
        return NullTracker()
    try:
        import wandb  # noqa: F401
    except ImportError:
        warn("Weights & Biases is not installed: the run is recorded in metrics.jsonl only")
        return NullTracker()
    try:
        mode = choose_mode(section.mode, warn=warn)
    except Exception as error:  # the client's own settings files may be broken
        warn(f"Weights & Biases cannot start ({_reason(error)}): the run is recorded in metrics.jsonl only")
        return NullTracker()
    if mode == "disabled":
        return NullTracker()
    start = _Start(section=section, run_dir=run_dir, run_id=run_id, name=name, group=group, spec=spec)
    return WandbTracker(start, mode=mode, history=history, warn=warn)


def default_mode() -> Mode:
    """What `mode: auto` comes to on this machine, `disabled` where the client is not installed or broken."""
    try:
        return choose_mode("auto", warn=lambda _: None)
    except Exception:  # absent, or its settings files cannot be read
        return "disabled"


@dataclass(frozen=True, kw_only=True)
class _Start:
    """What a W&B run is begun with."""

    section: TrackingSection
    run_dir: Path
    run_id: str
    name: str
    group: str
    spec: Mapping[str, Any]

    def __call__(self, mode: Mode) -> wandb.Run:
        import wandb

        # Of each line that a full disk refuses, its debug log would print a traceback to the terminal.
        logging.getLogger("wandb").disabled = True
        section = self.section
        run = wandb.init(
            mode=mode,
            reinit="create_new",  # a run that the user's notebook has open is not ours
            id=self.run_id,
            # Offline there is no server to resume from; the replayed history makes the new file whole.
            resume="allow" if mode == "online" else None,
            project=section.project,
            entity=section.entity,
            name=self.name,
            group=section.group or self.group,
            tags=section.tags,
            notes=section.notes,
            config=dict(self.spec),
            dir=str(self.run_dir),
            settings=wandb.Settings(
                init_timeout=INIT_TIMEOUT_S,
                finish_timeout=FINISH_TIMEOUT_S,
                console="off",
                silent=True,
                # The run's own provenance is better, and a remote's address may hold a password.
                disable_git=True,
                disable_code=True,
                save_code=False,
            ),
        )
        run.define_metric("epoch", hidden=True)
        run.define_metric("step", hidden=True)
        for pattern in ("train/*", "lr", "grad_norm", "clips_per_s", "waiting_s"):
            run.define_metric(pattern, step_metric="step")
        run.define_metric("val/*", step_metric="epoch")
        return run


class WandbTracker:
    """Mirrors a run to Weights & Biases; see the module for how it stays out of the way."""

    def __init__(
        self, start: _Start, *, mode: Mode, history: Sequence[Row], warn: Callable[[str], None]
    ) -> None:
        self._start = start
        self._warn = warn
        self._num_rows = 0
        self._complained = False
        self._ended = False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        for row in history:
            self.log(row)
        # Daemon: a client that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, args=(mode,), name="wandb", daemon=True)
        self._thread.start()

    def log(self, row: Row) -> None:
        """Mirrors one row of `metrics.jsonl`."""
        number, values = self._num_rows, {key: v for key, v in row.items() if isinstance(v, int | float)}
        self._num_rows += 1
        self._put(lambda run: run.log(values, step=number, commit=True))

    def log_previews(self, previews: Sequence[Preview]) -> None:
        """Shows clips, encoded as MP4, with the next row."""
        number = self._num_rows

        def job(run: wandb.Run) -> None:
            import wandb

            videos = [
                wandb.Video(encode_clip(preview.clip), caption=preview.caption, format="mp4")
                for preview in previews
            ]
            run.log({"val/previews": videos}, step=number, commit=False)

        if previews:
            self._put(job)

    def log_confusion(self, counts: np.ndarray, classes: Sequence[str]) -> None:
        """Shows a confusion matrix with the next row."""
        number = self._num_rows

        def job(run: wandb.Run) -> None:
            import wandb

            # Empty cells are left out, since a table shows 10,000 rows; the diagonal names every class.
            cells = [
                [classes[true], classes[predicted], int(counts[true, predicted])]
                for true, predicted in np.ndindex(*counts.shape)
                if true == predicted or counts[true, predicted]
            ]
            columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
            chart = wandb.plot_table(
                "wandb/confusion_matrix/v1",
                wandb.Table(columns=columns, data=cells),
                fields={str(column): column for column in columns},
                string_fields={"title": "Confusion matrix (val)"},
            )
            run.log({"val/confusion": chart}, step=number, commit=False)

        self._put(job)

    def log_checkpoint(self, path: Path, *, metrics: Mapping[str, float]) -> None:
        """Uploads a checkpoint as an artifact, unless the spec or a sweep says no."""

        def job(run: wandb.Run) -> None:
            import wandb

            artifact = wandb.Artifact(f"run-{run.id}-best", type="model", metadata=dict(metrics))
            # By reference: the default copies the file into a cache in the home folder, twice.
            artifact.add_file(str(path), policy="immutable", skip_cache=True)
            logged = run.log_artifact(artifact, aliases=["best"])
            if not run.offline:
                logged.wait(timeout=int(UPLOAD_TIMEOUT_S))

        if self._start.section.artifact and not os.environ.get("WANDB_SWEEP_ID"):
            self._put(job)

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Sets what a table of runs shows of this one."""
        self._put(lambda run: run.summary.update(dict(values)))

    def finish(self, *, exit_code: int, preempted: bool = False) -> None:
        """Ends the record, waiting at most for the two time limits above, or the first when preempted."""

        def job(run: wandb.Run) -> None:
            if preempted:
                run.mark_preempting()
            run.finish(exit_code=exit_code)

        self._put(job)
        self._jobs.put(None)
        self._thread.join(FINISH_TIMEOUT_S + (0 if preempted else UPLOAD_TIMEOUT_S))
        if self._thread.is_alive():
            self._complain("it did not finish in time")
        self._ended = True

    def _put(self, job: Job) -> None:
        if not self._ended:
            self._jobs.put(job)

    def _work(self, mode: Mode) -> None:
        try:
            run = self._begin(mode)
        except Exception as error:  # whatever the client raises, training goes on
            self._complain(_reason(error))
            self._ended = True
            return
        while (job := self._jobs.get()) is not None:
            try:
                job(run)
            except Exception as error:  # one preview that fails must not cost the metrics after it
                self._complain(_reason(error))

    def _begin(self, mode: Mode) -> wandb.Run:
        import wandb

        if mode == "online":
            try:
                return self._start("online")
            except Exception as error:  # no network, a refused key, a server in trouble
                self._warn(
                    f"Weights & Biases cannot be reached ({_reason(error)}): recorded offline;"
                    f" send it with: wandb sync {self._start.run_dir / 'wandb'}/offline-run-*"
                )
            # Its service process still holds the id of the failed attempt.
            wandb.teardown()
            load_settings()
        return self._start("offline")

    def _complain(self, reason: str) -> None:
        if not self._complained:
            self._complained = True
            self._warn(f"Weights & Biases did not record all ({reason}); metrics.jsonl holds everything")


def _reason(error: Exception) -> str:
    """The first line of what went wrong."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
