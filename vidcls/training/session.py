"""Observer of one training loop: metrics, tracker, signals, status, and the checkpoint writer."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from vidcls.checkpoints import CheckpointIdentity
from vidcls.errors import ExitCode
from vidcls.locking.lock import Held
from vidcls.process.signals import Signals, StoppedError, is_agents_stop
from vidcls.run.folder import Run
from vidcls.run.shapes import RunState, Status
from vidcls.tracking.jsonl import MetricsFile, Row, read_rows
from vidcls.tracking.tracker import Tracker
from vidcls.training.checkpoint_writer import CheckpointWriter
from vidcls.training.divergence import DivergedError
from vidcls.training.loop import Loop, MetricValues


class StopRule(Protocol):
    """Decides after each epoch whether a training continues; used for the early stopping of sweeps."""

    def __call__(self, epoch: int, history: Sequence[Row]) -> str | None:
        """Decide on a training.

        Args:
            epoch: Number of finished epochs.
            history: Metric rows of all finished epochs, latest last.

        Returns:
            Reason to stop now, None to continue. The training is saved, and the run can be resumed later.
        """


class Display(Protocol):
    """Shows the progress to the user. The command line and notebooks have their own implementations."""

    def say(self, text: str) -> None:
        """Show one line."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Show the progress of long work before training."""

    def step(self, loop: Loop) -> None:
        """Called after each step."""

    def epoch(self, loop: Loop, row: MetricValues, *, is_best: bool) -> None:
        """Called after each validation."""


class Session:
    """Observes the loop and keeps the run folder up to date."""

    def __init__(
        self,
        run: Run,
        *,
        loop: Loop,
        identity: CheckpointIdentity,
        signals: Signals,
        held: Held,
        display: Display,
        stop_rule: StopRule | None = None,
        save_after_s: float = 0.0,
    ) -> None:
        self._run = run
        self.loop = loop
        self.identity = identity
        self._signals = signals
        self._held = held
        self._display = display
        self._stop_rule = stop_rule
        self._metrics = MetricsFile(run.metrics_file)
        self.checkpoints = CheckpointWriter(
            run, loop=loop, identity=identity, metrics=self._metrics, save_after_s=save_after_s
        )
        self._tracker: Tracker | None = None
        self.was_interrupted = False
        self._has_begun = False  # before that, the status of an earlier start is kept
        self._is_finished = False

    def track(self, tracker: Tracker) -> None:
        """Send everything that is logged from now on to a tracker too."""
        self._tracker = tracker

    def fit(self) -> None:
        """Train to the last epoch, or until a signal.

        Raises:
            VidclsError: After a signal, once all is saved (exit code 75 or 1), or if an error stops it.
        """
        self._has_begun = True
        self.write_status("running")
        try:
            self.loop.fit(self)
        except StoppedError as error:
            if self.was_interrupted:
                raise
            # It ended the wait for a batch, so the state is that of the last finished step.
            self.loop.check_finite()
            self._save_stopped()
            raise self._interrupted() from error
        except DivergedError:
            self._log_steps()  # the row of the step that diverged may be among them
            raise
        except Exception as error:
            if not is_agents_stop(error):
                raise
            # The interrupt may have come in the middle of a step, so the previous checkpoint is kept.
            self.was_interrupted = True
            raise StoppedError("stopped early by the sweep's server", exit_code=ExitCode.DONE) from error

    def after_step(self, loop: Loop) -> None:
        """Log, react to a signal, save when it is due."""
        self._display.step(loop)
        if self._held.is_lost:
            self._held.check()
        stops = self._signals.received is not None
        saves = stops or self.checkpoints.is_due
        if saves:
            loop.check_finite()  # so that the rows of all steps up to the checkpoint are written before it
        if stops:
            self._save_stopped()
            raise self._interrupted()
        self._log_steps()
        if saves:
            self.checkpoints.save_last()

    def _save_stopped(self) -> None:
        """Save after a signal, between two steps."""
        self._log_steps()
        if self._signals.received == signal.SIGINT:
            self._display.say("SIGINT: saving a checkpoint; press Ctrl-C again to end at once without it")
        self.checkpoints.save_last()

    def after_epoch(self, loop: Loop, row: MetricValues) -> None:
        """Log, save, show the epoch, and ask the stop rule."""
        epoch = loop.position.epoch
        is_best = self.checkpoints.best.offer(epoch, row)
        self._log_steps()
        self._log({**row, "kind": "epoch", "time": time.time()})
        if self.checkpoints.after_epoch(is_best=is_best):
            self.write_status("running")
        self._display.epoch(loop, row, is_best=is_best)
        if epoch == loop.spec.train.num_epochs:
            return
        if self._signals.received is not None:
            self._save_epoch()
            raise self._interrupted()
        if self._stop_rule is not None:
            history = [row for row in read_rows(self._run.metrics_file) if row.get("kind") == "epoch"]
            if (verdict := self._stop_rule(epoch, history)) is not None:
                self._save_epoch()
                raise self._stopped(f"after epoch {epoch}: {verdict}", exit_code=ExitCode.DONE)

    def _save_epoch(self) -> None:
        self.checkpoints.save_epoch()
        self.write_status("running")

    def finish(self, metrics: MetricValues) -> None:
        """Mark the run as finished, then remove the files that only a resume needs.

        Args:
            metrics: Metrics of the best checkpoint on val, in float32; those of the epochs were computed at
                the precision of training.

        Raises:
            OSError: If the status cannot be written; then nothing is removed.
        """
        status = self._status("finished", message="")
        self._run.write_status(replace(status, metrics={**status.metrics, **metrics}))
        self._is_finished = True
        if not self.loop.spec.train.keep_last:
            self._held.check()
            self._run.checkpoint_file("last").unlink(missing_ok=True)

    @property
    def is_cut_off(self) -> bool:
        """Whether the user has asked to end at once, without saving."""
        return self._signals.is_cut_off

    def close(self) -> None:
        """Close the metrics file."""
        self._metrics.close()

    def write_status(self, state: RunState, *, message: str = "") -> None:
        """Write the status of the run, unless it is finished; a full disk is ignored here."""
        if self._is_finished:
            return
        # The status does not mention epochs that were not saved.
        before = None if self._has_begun and not self.is_cut_off else self._run.status()
        new = (
            replace(before, state=state, message=message) if before else self._status(state, message=message)
        )
        try:
            self._run.write_status(new)
        except OSError as error:
            self._display.say(f"{self._run.status_file}: not updated: {error.strerror}")

    def _status(self, state: RunState, *, message: str) -> Status:
        return Status(
            state=state,
            epoch=self.loop.position.epoch,
            num_epochs=self.loop.spec.train.num_epochs,
            best_epoch=self.checkpoints.best.epoch,
            metrics=self.checkpoints.best.metrics or {},
            elapsed_s=self.checkpoints.elapsed_s,
            energy_j=self.checkpoints.energy_j,
            message=message,
        )

    def _log_steps(self) -> None:
        for row in self.loop.take_rows():
            self._log({**row, "kind": "step"})

    def _log(self, row: Row) -> None:
        self._metrics.append(row)
        if self._tracker is not None:
            self._tracker.log(row)

    def _interrupted(self) -> StoppedError:
        position = self.loop.position
        name = self._signals.received.name if self._signals.received else ""
        saved = f"{name}: saved at epoch {position.epoch + 1}, step {position.step} in {self._run.folder}"
        return self._stopped(saved, exit_code=self._signals.exit_code)

    def _stopped(self, message: str, *, exit_code: ExitCode) -> StoppedError:
        self.was_interrupted = True
        error = StoppedError(
            message, hint="give the same command again to continue from there", exit_code=exit_code
        )
        error.folder = self._run.folder
        return error
