"""Writes the checkpoints of one training, and resumes from the last one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from vidcls.checkpoints import CheckpointIdentity, checkpoint_content, read_checkpoint, write_checkpoint
from vidcls.errors import VidclsError
from vidcls.evaluate.restore import Restored, restore
from vidcls.models.device import gpu_uuid
from vidcls.process.energy import EnergyMeter
from vidcls.run.folder import Checkpoint, Run
from vidcls.tracking.jsonl import MetricsFile
from vidcls.training.loop import Loop, MetricValues
from vidcls.training.random_state import rng_state, set_rng_state


@dataclass
class Best:
    """Best epoch so far: highest val top-1, then lowest val loss; without val, the last epoch."""

    epoch: int | None = None
    metrics: MetricValues | None = None

    def offer(self, epoch: int, row: MetricValues) -> bool:
        """Replace the best epoch if the given one is better; return whether it is."""
        if self.metrics and "val/top1" in row and _rank(row) <= _rank(self.metrics):
            return False
        self.epoch = epoch
        self.metrics = {key: value for key, value in row.items() if key.startswith(("train/", "val/"))}
        return True


class CheckpointWriter:
    """Writer of `last.pt`, from which a training resumes, and `best.pt`, the result.

    Args:
        run: Folder of the run.
        loop: Training loop whose state is saved.
        identity: Identity of the run, stored in the files.
        metrics: Metrics file; a resume cuts off the rows after the checkpoint.
        save_after_s: Minimum number of seconds between two saves of an epoch.

    Attributes:
        loop: Training loop whose state is saved.
        best: Best epoch so far.
    """

    def __init__(
        self,
        run: Run,
        *,
        loop: Loop,
        identity: CheckpointIdentity,
        metrics: MetricsFile,
        save_after_s: float = 0.0,
    ) -> None:
        self._run = run
        self.loop = loop
        self._identity = identity
        self._metrics = metrics
        self._save_after_s = save_after_s
        self._unsaved_best: dict[str, Any] | None = None
        self._copied_best: dict[str, Tensor] | None = None
        self.best = Best()
        self._elapsed_before_s = 0.0
        self._begun = self._saved = time.monotonic()
        self._energy = EnergyMeter(gpu_uuid(loop.device))

    @property
    def elapsed_s(self) -> float:
        """Seconds of training of the run, over all its starts."""
        return self._elapsed_before_s + time.monotonic() - self._begun

    @property
    def energy_j(self) -> float | None:
        """Joules that the GPU used, over all starts of the run; None if one of them did not count."""
        return self._energy.total_j

    def resume(self) -> bool:
        """Resume from the last checkpoint; False if there is none.

        Raises:
            VidclsError: If the checkpoint cannot be read, or the metrics file has lost rows.
        """
        path = self._run.checkpoint_file("last")
        if not path.is_file():
            best, status = self._run.checkpoint_file("best"), self._run.status()
            if best.is_file() and status is not None and status.epoch:
                raise VidclsError(
                    f"{self._run.folder}: its last checkpoint is missing, so the run cannot continue",
                    hint="restore checkpoints/last.pt, or give --restart to move this run aside and start "
                    "again",
                )
            best.unlink(missing_ok=True)  # of a first save that a kill ended before `last` was written
            self._metrics.truncate_to(0)
            return False
        content = read_checkpoint(path)
        training = content["training"]
        self.loop.load_state_dict({"model": content["model"], **training["loop"]})
        self._metrics.truncate_to(training["metrics_bytes"])
        self.best = Best(**training["best"])
        self._elapsed_before_s = training["elapsed_s"]
        self._energy.add_earlier(training.get("energy_j"))
        set_rng_state(training["rng"], self.loop.device)
        self._mend_best()
        return True

    def _mend_best(self) -> None:
        """Write `best` from `last` if a kill between the two files of an epoch left `best` out of date."""
        position = self.loop.position
        if (self.best.epoch, 0) != (position.epoch, position.step):
            return
        path = self._run.checkpoint_file("best")
        if not path.is_file() or read_checkpoint(path)["epoch"] != self.best.epoch:
            self._write("best", self._content(self.loop.model.state_dict()))

    @property
    def is_due(self) -> bool:
        """Whether so much time has passed since the last save that a step must be saved."""
        return time.monotonic() - self._saved >= self.loop.spec.train.checkpoint_every_s

    def after_epoch(self, *, is_best: bool) -> bool:
        """Save the epoch unless the last save is recent; always save the last epoch.

        Args:
            is_best: Whether the epoch is the best so far.

        Returns:
            Whether the epoch was saved; if not, and it is the best, its weights are kept in memory.
        """
        epoch, model = self.loop.position.epoch, self.loop.model
        is_due = time.monotonic() - self._saved >= self._save_after_s
        saves = is_due or epoch == self.loop.spec.train.num_epochs
        if is_best:
            # Where few epochs are saved, the copy is small: that of a head.
            self._copied_best = _snapshot(model) if self._save_after_s else None
            self._unsaved_best = self._content(self._copied_best or model.state_dict())
        if saves:
            self.save_epoch()
        return saves

    def restore(self, which: Checkpoint) -> Restored:
        """Restore a checkpoint into the model of the loop; the best epoch from memory where it is copied."""
        loop, identity = self.loop, self._identity
        if which == "last" or self._copied_best is None:
            return restore(self._run, which, loop.device, into=loop.model)
        assert self.best.epoch is not None
        loop.model.load_state_dict(self._copied_best)
        return Restored(
            model=loop.model.eval(),
            spec=loop.spec,
            clip=identity.clip,
            classes=identity.classes,
            fingerprint=identity.fingerprint,
            manifest_hash=identity.manifest_hash,
            epoch=self.best.epoch,
        )

    def save_epoch(self) -> None:
        """Write `last`, then `best`: `last` records that `best` is due, so a kill in between is repaired."""
        self.save_last()
        self.save_best()

    def save_best(self) -> None:
        """Save the best epoch if its save was delayed."""
        if self._unsaved_best is not None:
            self._write("best", self._unsaved_best)
            self._unsaved_best = None

    def save_last(self) -> None:
        """Save everything that a resume needs."""
        position = self.loop.position
        if position.step or self.best.epoch != position.epoch:
            self.save_best()  # from an earlier epoch, which a resume could not repair
        self._metrics.sync()
        state = self.loop.state_dict()
        del state["model"]
        training = {
            "loop": state,
            "rng": rng_state(self.loop.device),
            "best": vars(self.best).copy(),
            "elapsed_s": self.elapsed_s,
            "energy_j": self.energy_j,
            "metrics_bytes": self._metrics.position,
        }
        self._write("last", self._content(self.loop.model.state_dict(), training=training))
        self._saved = time.monotonic()

    def _content(self, weights: dict[str, Any], *, training: dict[str, Any] | None = None) -> dict[str, Any]:
        """Content of a checkpoint with these weights at the current position."""
        position = self.loop.position
        return checkpoint_content(
            self._identity,
            self.loop.spec,
            weights,
            epoch=position.epoch,
            step=position.step,
            training=training,
        )

    def _write(self, which: Checkpoint, content: dict[str, Any]) -> None:
        path = self._run.checkpoint_file(which)
        before = f"the previous {which} checkpoint is intact"
        write_checkpoint(path, content, kept=before if path.exists() else "there was no checkpoint before")


def _rank(row: MetricValues) -> tuple[float, float]:
    return row["val/top1"], -row["val/loss"]


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copy of the current weights; fully frozen modules are not copied, since they never change."""
    frozen = {id(param) for param in model.parameters() if not param.requires_grad}
    state: dict[str, Tensor] = model.state_dict(keep_vars=True)
    return {name: t.detach() if id(t) in frozen else t.detach().clone() for name, t in state.items()}
