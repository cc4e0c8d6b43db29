"""What surrounds the loop of one training: checkpoints, metrics, tracking, signals, state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from vidcls.errors import VidclsError
from vidcls.evaluate.restore import FORMAT, read_checkpoint
from vidcls.runs import Run, Status
from vidcls.spec.show import plain
from vidcls.tracking.jsonl import MetricsFile, Row
from vidcls.tracking.tracker import Tracker
from vidcls.train.checkpoint import rng_state, set_rng_state, write_checkpoint
from vidcls.train.loop import Loop, Metrics
from vidcls.train.signals import Signals


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


@dataclass(frozen=True)
class Identity:
    """What a checkpoint says of itself besides its weights."""

    fingerprint: str
    classes: tuple[str, ...]
    manifest_hash: str


@dataclass
class Best:
    """The best epoch so far, by val top-1, then by the lower val loss."""

    epoch: int | None = None
    metrics: Metrics | None = None

    def offer(self, epoch: int, row: Metrics) -> bool:
        """Take an epoch if it is better."""
        if self.metrics and _rank(row) <= _rank(self.metrics):
            return False
        self.epoch = epoch
        self.metrics = {key: value for key, value in row.items() if key.startswith(("train/", "val/"))}
        return True


def _rank(row: Metrics) -> tuple[float, float]:
    return row["val/top1"], -row["val/loss"]


class Session:
    """Observes the loop and keeps the run folder true to it."""

    def __init__(
        self, run: Run, *, loop: Loop, identity: Identity, signals: Signals, display: Display
    ) -> None:
        self._run = run
        self._loop = loop
        self._identity = identity
        self._signals = signals
        self._display = display
        self._metrics = MetricsFile(run.metrics_file)
        self._tracker: Tracker | None = None
        self.best = Best()
        self._elapsed_s = 0.0
        self._clock = self._saved = time.monotonic()

    def resume(self) -> bool:
        """Take up the last checkpoint, if there is one.

        Returns:
            Whether there was one.

        Raises:
            VidclsError: If the checkpoint cannot be read, or the metrics file lost rows.
        """
        path = self._run.checkpoint_file("last")
        if not path.is_file():
            self._metrics.truncate_to(0)
            return False
        content = read_checkpoint(path)
        training = content["training"]
        self._loop.load_state_dict({"model": content["model"], **training["loop"]})
        self._metrics.truncate_to(training["metrics_bytes"])
        self.best = Best(**training["best"])
        self._elapsed_s = training["elapsed_s"]
        set_rng_state(training["rng"])
        return True

    def track(self, tracker: Tracker) -> None:
        """Mirror all that follows to a tracker."""
        self._tracker = tracker

    def fit(self) -> None:
        """Train to the last epoch, or to a signal.

        Raises:
            VidclsError: With exit code 75 or 1 after a signal, once all is saved; or what stopped it.
        """
        self.write_status("running")
        self._loop.fit(self)

    def after_step(self, loop: Loop, row: Metrics | None) -> None:
        """Log, answer a signal, save when it is time."""
        self._display.step(loop)
        if row is not None:
            self._log({**row, "kind": "step"})
        if self._signals.received is not None:
            self._save_last()
            raise self._interrupted()
        if time.monotonic() - self._saved >= loop.spec.train.checkpoint_every_s:
            self._save_last()

    def after_epoch(self, loop: Loop, row: Metrics) -> None:
        """Log, save best and last, in an order that a kill at any moment leaves whole."""
        epoch = loop.position.epoch
        is_best = self.best.offer(epoch, row)
        self._log({**row, "kind": "epoch", "time": time.time()})
        if is_best:
            self._write("best", {})
        self._save_last()
        self.write_status("running")
        self._display.epoch(loop, row, is_best=is_best)
        if self._signals.received is not None and epoch < loop.spec.train.epochs:
            raise self._interrupted()

    def finish(self) -> None:
        """Declare the run finished and let go of what only a resume needs."""
        self.write_status("finished")
        if not self._loop.spec.train.keep_last:
            self._run.checkpoint_file("last").unlink(missing_ok=True)

    @property
    def was_interrupted(self) -> bool:
        """Whether a signal asked for the end."""
        return self._signals.received is not None

    def close(self) -> None:
        """Close the metrics file."""
        self._metrics.close()

    def write_status(self, state: Any, *, message: str = "") -> None:
        """Say where the run stands; a full disk here is no reason to fail."""
        status = Status(
            state=state,
            epoch=self._loop.position.epoch,
            num_epochs=self._loop.spec.train.epochs,
            best_epoch=self.best.epoch,
            metrics=self.best.metrics or {},
            elapsed_s=self._elapsed(),
            message=message,
        )
        try:
            self._run.write_status(status)
        except OSError as error:
            self._display.say(f"{self._run.status_file}: not updated: {error.strerror}")

    def _log(self, row: Row) -> None:
        self._metrics.append(row)
        if self._tracker is not None:
            self._tracker.log(row)

    def _save_last(self) -> None:
        self._metrics.sync()
        state = self._loop.state_dict()
        del state["model"]
        training = {
            "loop": state,
            "rng": rng_state(),
            "best": vars(self.best).copy(),
            "elapsed_s": self._elapsed(),
            "metrics_bytes": self._metrics.position,
        }
        self._write("last", {"training": training})
        self._saved = time.monotonic()

    def _write(self, which: Any, extra: dict[str, Any]) -> None:
        path = self._run.checkpoint_file(which)
        position = self._loop.position
        content = {
            "format": FORMAT,
            "spec": plain(self._loop.spec),
            "fingerprint": self._identity.fingerprint,
            "classes": list(self._identity.classes),
            "manifest_hash": self._identity.manifest_hash,
            "epoch": position.epoch,
            "step": position.step,
            "model": self._loop.model.state_dict(),
            **extra,
        }
        kept = (
            f"the {which} checkpoint from before is intact"
            if path.exists()
            else "no checkpoint was there before"
        )
        write_checkpoint(path, content, kept=kept)

    def _elapsed(self) -> float:
        return self._elapsed_s + time.monotonic() - self._clock

    def _interrupted(self) -> VidclsError:
        position = self._loop.position
        name = self._signals.received.name if self._signals.received else ""
        return VidclsError(
            f"{name}: saved at epoch {position.epoch + 1}, step {position.step} in {self._run.folder}",
            hint="the same command goes on from there",
            exit_code=self._signals.exit_code,
        )
