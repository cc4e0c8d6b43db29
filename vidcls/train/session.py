"""What surrounds the loop of one training: checkpoints, metrics, tracking, signals, state."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from vidcls.errors import ExitCode, VidclsError
from vidcls.evaluate.restore import read_checkpoint
from vidcls.lock import Held
from vidcls.run_shapes import State, Status
from vidcls.runs import Checkpoint, Run
from vidcls.signals import Signals, StoppedError, is_agents_stop
from vidcls.tracking.jsonl import MetricsFile, Row, read_rows
from vidcls.tracking.tracker import Tracker
from vidcls.train.best import Best, snapshot
from vidcls.train.checkpoint import Identity, rng_state, set_rng_state, write_checkpoint
from vidcls.train.loop import Loop, Metrics


class Judge(Protocol):
    """Says after each epoch whether a training goes on. A sweep's rule of early stopping is one."""

    def __call__(self, epoch: int, history: Sequence[Row]) -> str | None:
        """Judge a training.

        Args:
            epoch: Finished epochs.
            history: The rows of all finished epochs, the latest last.

        Returns:
            Why it stops now, None to go on. What was trained is saved, and the same run can go on later.
        """


class Display(Protocol):
    """Shows a person what happens. The command line and notebooks bring their own."""

    def say(self, text: str) -> None:
        """One line."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Progress of long work before training."""

    def step(self, loop: Loop) -> None:
        """After each step."""

    def epoch(self, loop: Loop, row: Metrics, *, is_best: bool) -> None:
        """After each validation."""


class Session:
    """Observes the loop and keeps the run folder true to it."""

    def __init__(
        self,
        run: Run,
        *,
        loop: Loop,
        identity: Identity,
        signals: Signals,
        held: Held,
        display: Display,
        judge: Judge | None = None,
        save_after_s: float = 0.0,
    ) -> None:
        self._run = run
        self.loop = loop
        self._identity = identity
        self._signals = signals
        self._held = held
        self._display = display
        self._judge = judge
        self._save_after_s = save_after_s
        self._unsaved_best: dict[str, Any] | None = None
        self._metrics = MetricsFile(run.metrics_file)
        self._tracker: Tracker | None = None
        self.best = Best()
        self.was_interrupted = False
        self._has_begun = False  # until then the status of an earlier start holds
        self._is_finished = False
        self._elapsed_s = 0.0
        self._clock = self._saved = time.monotonic()

    def resume(self) -> bool:
        """Take up the last checkpoint; False if there is none.

        Raises:
            VidclsError: If the checkpoint cannot be read, or the metrics file lost rows.
        """
        path = self._run.checkpoint_file("last")
        if not path.is_file():
            if self._run.checkpoint_file("best").is_file():
                raise VidclsError(
                    f"{self._run.folder}: its last checkpoint is gone, so it cannot go on",
                    hint="put checkpoints/last.pt back, or --restart sets the run aside and begins anew",
                )
            self._metrics.truncate_to(0)
            return False
        content = read_checkpoint(path)
        training = content["training"]
        self.loop.load_state_dict({"model": content["model"], **training["loop"]})
        self._metrics.truncate_to(training["metrics_bytes"])
        self.best = Best(**training["best"])
        self._elapsed_s = training["elapsed_s"]
        set_rng_state(training["rng"], self.loop.device)
        self._mend_best()
        return True

    def _mend_best(self) -> None:
        """A kill between the two files of an epoch leaves `best` behind; `last` has the same weights."""
        position = self.loop.position
        if (self.best.epoch, 0) != (position.epoch, position.step):
            return
        path = self._run.checkpoint_file("best")
        if not path.is_file() or read_checkpoint(path)["epoch"] != self.best.epoch:
            self._write("best", self._content(self.loop.model.state_dict()))

    def track(self, tracker: Tracker) -> None:
        """Mirror all that follows to a tracker."""
        self._tracker = tracker

    def fit(self) -> None:
        """Train to the last epoch, or to a signal.

        Raises:
            VidclsError: With exit code 75 or 1 after a signal, once all is saved; or what stopped it.
        """
        self._has_begun = True
        self.write_status("running")
        try:
            self.loop.fit(self)
        except Exception as error:
            if not is_agents_stop(error):
                raise
            # It may have come in the middle of a step, so the checkpoint is the one from before.
            self.was_interrupted = True
            raise StoppedError("stopped early by the sweep's server", exit_code=ExitCode.DONE) from error

    def after_step(self, loop: Loop, row: Metrics | None) -> None:
        """Log, answer a signal, save when it is time."""
        self._display.step(loop)
        if self._held.is_lost:
            self._held.check()
        if row is not None:
            self._log({**row, "kind": "step"})
        if self._signals.received is not None:
            if self._signals.received == signal.SIGINT:
                self._display.say("SIGINT: saving; once more ends at once, without this checkpoint")
            self._save_last()
            raise self._interrupted()
        if time.monotonic() - self._saved >= loop.spec.train.checkpoint_every_s:
            self._save_last()

    def after_epoch(self, loop: Loop, row: Metrics) -> None:
        """Log, save unless it was just done (the first epoch always: no best is without a last), judge."""
        epoch = loop.position.epoch
        is_best = self.best.offer(epoch, row)
        self._log({**row, "kind": "epoch", "time": time.time()})
        is_due = time.monotonic() - self._saved >= self._save_after_s
        saves = is_due or epoch in (1, loop.spec.train.epochs)
        if is_best:
            self._unsaved_best = self._content(loop.model.state_dict() if saves else snapshot(loop.model))
        if saves:
            self._save_epoch()
        self._display.epoch(loop, row, is_best=is_best)
        if epoch == loop.spec.train.epochs:
            return
        if self._signals.received is not None:
            self._save_epoch()
            raise self._interrupted()
        if self._judge is not None:
            history = [row for row in read_rows(self._run.metrics_file) if row.get("kind") == "epoch"]
            if (verdict := self._judge(epoch, history)) is not None:
                self._save_epoch()
                raise self._stopped(f"after epoch {epoch}: {verdict}", exit_code=ExitCode.DONE)

    def _save_epoch(self) -> None:
        """Write last, then best: `last` knows whether `best` is due, so a kill in between is mended."""
        self._save_last()
        self.save_best()
        self.write_status("running")

    def save_best(self) -> None:
        """Save the best epoch if it was held back."""
        if self._unsaved_best is not None:
            self._write("best", self._unsaved_best)
            self._unsaved_best = None

    def finish(self) -> None:
        """Declare the run finished and let go of what only a resume needs, in this order.

        Raises:
            OSError: If that cannot be written; then nothing is let go of.
        """
        self._run.write_status(self._status("finished", message=""))
        self._is_finished = True
        if not self.loop.spec.train.keep_last:
            self._held.check()
            self._run.checkpoint_file("last").unlink(missing_ok=True)

    @property
    def is_cut_off(self) -> bool:
        """Whether a person does not wait for anything to be saved."""
        return self._signals.is_cut_off

    def close(self) -> None:
        """Close the metrics file."""
        self._metrics.close()

    def write_status(self, state: State, *, message: str = "") -> None:
        """Say where the run stands, unless it is finished; a full disk here is no reason to fail."""
        if self._is_finished:
            return
        # Of what was not saved any more the status says nothing either.
        before = None if self._has_begun and not self.is_cut_off else self._run.status()
        new = (
            replace(before, state=state, message=message) if before else self._status(state, message=message)
        )
        try:
            self._run.write_status(new)
        except OSError as error:
            self._display.say(f"{self._run.status_file}: not updated: {error.strerror}")

    def _status(self, state: State, *, message: str) -> Status:
        return Status(
            state=state,
            epoch=self.loop.position.epoch,
            num_epochs=self.loop.spec.train.epochs,
            best_epoch=self.best.epoch,
            metrics=self.best.metrics or {},
            elapsed_s=self._elapsed(),
            message=message,
        )

    def _log(self, row: Row) -> None:
        self._metrics.append(row)
        if self._tracker is not None:
            self._tracker.log(row)

    def _save_last(self) -> None:
        position = self.loop.position
        if position.step or self.best.epoch != position.epoch:
            self.save_best()  # of an epoch before: a resume could not mend it
        self._metrics.sync()
        state = self.loop.state_dict()
        del state["model"]
        training = {
            "loop": state,
            "rng": rng_state(self.loop.device),
            "best": vars(self.best).copy(),
            "elapsed_s": self._elapsed(),
            "metrics_bytes": self._metrics.position,
        }
        self._write("last", {**self._content(self.loop.model.state_dict()), "training": training})
        self._saved = time.monotonic()

    def _content(self, model: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint of weights at the current position, which describes itself."""
        position = self.loop.position
        return self._identity.content(self.loop.spec, model, epoch=position.epoch, step=position.step)

    def _write(self, which: Checkpoint, content: dict[str, Any]) -> None:
        path = self._run.checkpoint_file(which)
        before = f"the {which} checkpoint from before is intact"
        kept = before if path.exists() else "no checkpoint was there before"
        write_checkpoint(path, content, kept=kept)

    def _elapsed(self) -> float:
        return self._elapsed_s + time.monotonic() - self._clock

    def _interrupted(self) -> StoppedError:
        position = self.loop.position
        name = self._signals.received.name if self._signals.received else ""
        saved = f"{name}: saved at epoch {position.epoch + 1}, step {position.step} in {self._run.folder}"
        return self._stopped(saved, exit_code=self._signals.exit_code)

    def _stopped(self, message: str, *, exit_code: ExitCode) -> StoppedError:
        self.was_interrupted = True
        error = StoppedError(message, hint="the same command goes on from there", exit_code=exit_code)
        error.folder = self._run.folder
        return error
