"""Training loop: each step is a pure function of (data, seed, epoch, step) and the state before it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import psutil
import torch
from torch.nn import functional as F

from vidcls.choices import Precision
from vidcls.data.batches.augment import draw_mix
from vidcls.data.batches.source import Batch, BatchSource
from vidcls.data.manifest import Video
from vidcls.evaluate.score import Scores, forward, score
from vidcls.features.clips import AnyBatch
from vidcls.models.compilation import compile_model
from vidcls.models.device import to_channels_last
from vidcls.models.kinds.base import VideoModel
from vidcls.spec.experiment import Spec
from vidcls.training.divergence import diverged
from vidcls.training.optim import build_optimizer, learning_rate, set_learning_rate
from vidcls.training.precision import Amp
from vidcls.training.progress import HostReader, Pending, Position, Speed, Sums
from vidcls.training.unfreezing import Unfreezing

LOG_EVERY_STEPS = 10
MetricValues = dict[str, float]


@dataclass(frozen=True)
class Data:
    """Data that a training reads."""

    clips: BatchSource[AnyBatch]
    train: Sequence[Video]
    val: Sequence[Video]

    def steps_per_epoch(self, batch_size: int) -> int:
        """Number of batches of an epoch."""
        return self.clips.num_train_steps(self.train, batch_size=batch_size)


class LoopObserver(Protocol):
    """Callbacks of the loop; they may raise to stop it between two steps."""

    def after_step(self, loop: Loop) -> None:
        """Called after each step; `loop.take_rows` gives the metrics to log."""

    def after_epoch(self, loop: Loop, row: MetricValues) -> None:
        """Called after each validation; `loop.position` is the start of the next epoch."""


class Loop:
    """Trains a model; `state_dict` holds everything that a resume needs."""

    def __init__(
        self, spec: Spec, *, model: VideoModel, data: Data, precision: Precision, device: torch.device
    ) -> None:
        self.spec = spec
        self.model = model.to(device)
        self.data = data
        self.device = device
        if spec.train.channels_last:
            to_channels_last(self.model)
        if spec.train.compile:
            compile_model(self.model, spec.train.compile, device)
        self.precision = precision
        self._amp = Amp(precision, device)
        # Built before gradual unfreezing freezes stages, so it covers all weights that train in any epoch.
        self._optimizer = build_optimizer(spec.optim, self.model)
        self._params = list(self.model.parameters())
        self.unfreezing = Unfreezing(self.model, every=spec.train.unfreeze_every)
        self.steps_per_epoch = data.steps_per_epoch(spec.train.batch_size)
        self.position = Position()
        self.speed = Speed()
        self.recent_loss: float | None = None
        self._sums = Sums.zero(device)
        self._to_host = HostReader(2, device)
        self._pending: Pending | None = None
        self._rows: list[MetricValues] = []
        self._compiled: set[tuple[int, int]] = set()

    def fit(self, observer: LoopObserver) -> None:
        """Train from the current position to the last epoch."""
        while self.position.epoch < self.spec.train.num_epochs:
            self._train_epoch(observer)
            row = self.close_epoch()
            self.position = Position(self.position.epoch + 1)
            self._sums, self.speed = Sums.zero(self.device), Speed()
            observer.after_epoch(self, row)

    def _train_epoch(self, observer: LoopObserver) -> None:
        self._enter_epoch()
        counted = asked = time.perf_counter()
        for batch in self._batches():
            self.speed.waiting_s += time.perf_counter() - asked
            self._step(batch)
            is_compiling = self._is_compiling(batch)
            if is_compiling:
                self.check_finite()  # waits for the step
            now = time.perf_counter()
            if is_compiling:
                self.speed.clips -= len(batch.ids)
            else:
                self.speed.total_s += now - counted
            counted = now  # the time of the observer counts as part of the epoch too
            observer.after_step(self)
            asked = time.perf_counter()
        self.check_finite()  # waits for the last step, which is part of the epoch
        self.speed.total_s += time.perf_counter() - counted

    def _is_compiling(self, batch: AnyBatch) -> bool:
        """Whether this was the first step with a batch of its size, for which the model was compiled."""
        if not self.spec.train.compile:
            return False
        shape = (len(batch.ids), sum(param.requires_grad for param in self._params))
        is_new = shape not in self._compiled
        self._compiled.add(shape)
        return is_new

    def _enter_epoch(self) -> None:
        self.unfreezing.enter(self.position.epoch)
        self.model.train()

    def one_step(self) -> None:
        """Take only the next step, as `fit` would."""
        self._enter_epoch()
        asked = time.perf_counter()
        batch = next(iter(self._batches()))
        self.speed.waiting_s += time.perf_counter() - asked
        self._step(batch)
        self.check_finite()

    def _batches(self) -> Iterator[AnyBatch]:
        return self.data.clips.train_batches(
            self.data.train,
            augment=self.spec.augment,
            seed=self.spec.seed,
            batch_size=self.spec.train.batch_size,
            epoch=self.position.epoch,
            start_step=self.position.step,
        )

    def _step(self, batch: AnyBatch) -> None:
        lr = learning_rate(
            self.spec.optim,
            self.global_step,
            steps_per_epoch=self.steps_per_epoch,
            num_epochs=self.spec.train.epochs,
        )
        set_learning_rate(self._optimizer, lr)
        step = (self.spec.seed, self.position.epoch, self.position.step)
        mix = draw_mix(self.spec.augment, step=step)
        if mix is not None:
            assert isinstance(batch, Batch), "the spec allows no stored features then"
            mix.on_clips(batch.clip)
        with self._amp.autocast():
            logits = forward(self.model, batch, channels_last=self.spec.train.channels_last)
            targets = batch.labels if mix is None else mix.targets(batch.labels, logits.shape[1])
            loss = F.cross_entropy(logits, targets, label_smoothing=self.spec.train.label_smoothing)
        norm = self._amp.step(loss, self._optimizer, params=self._params, clip_norm=self.spec.optim.clip_norm)
        self.check_finite()
        self.position.step += 1
        self._remember(loss.detach(), norm, lr, batch.ids)
        size = len(batch.ids)
        self._sums.loss += loss.detach().double() * size
        likeliest = batch.labels if mix is None else targets.argmax(1)
        self._sums.correct += (logits.detach().argmax(1) == likeliest).sum()
        self._sums.overflows += ~norm.isfinite()
        self._sums.seen += size
        self.speed.clips += size

    def _remember(self, loss: torch.Tensor, norm: torch.Tensor, lr: float, ids: tuple[str, ...]) -> None:
        values = self._to_host.start(torch.stack([loss.float(), norm.float()]))
        self._pending = Pending(values, lr, Position(**vars(self.position)), self.global_step, ids)

    def check_finite(self) -> None:
        """Read the loss of the last step, and keep its metrics for `take_rows` if they are due.

        Raises:
            DivergedError: If it is not finite, with epoch, step, learning rate and videos.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        self.recent_loss, norm = pending.loss_and_norm.read()
        if pending.global_step % LOG_EVERY_STEPS == 0:
            self._rows.append(
                {
                    "epoch": pending.position.epoch + 1,
                    "step": pending.global_step,
                    "train/step_loss": self.recent_loss,
                    "lr": pending.lr,
                    "grad_norm": norm,
                }
            )
        if math.isfinite(self.recent_loss):
            return
        where = f"epoch {pending.position.epoch + 1}, step {pending.position.step}"
        what = f"the loss is {self.recent_loss}"
        raise diverged(self.spec, where=where, what=what, lr=pending.lr, ids=pending.ids)

    def take_rows(self) -> list[MetricValues]:
        """Metrics of every `LOG_EVERY_STEPS`th step that were read since the last call."""
        rows, self._rows = self._rows, []
        return rows

    @property
    def global_step(self) -> int:
        """Number of steps since the start of training."""
        return self.position.epoch * self.steps_per_epoch + self.position.step

    def close_epoch(self) -> MetricValues:
        """Validate, if there are val videos, and return the row that is logged after an epoch."""
        self.check_finite()
        loss, top1, overflows = self._sums.read()
        return {
            "epoch": self.position.epoch + 1,
            "step": self.global_step,
            "train/loss": loss,
            "train/top1": top1,
            **(self._validated() if self.data.val else {}),
            "clips_per_s": self.speed.clips_per_s,
            "waiting_s": self.speed.waiting_s,
            "resident_mib": psutil.Process().memory_info().rss / 2**20,
            **({"overflow_steps": overflows} if self.precision == "fp16" else {}),
        }

    def _validated(self) -> MetricValues:
        from vidcls.evaluate.metrics import split_metrics

        scores = self.validate()
        if not np.isfinite(scores.logits).all():
            where = f"validation after epoch {self.position.epoch + 1}"
            what = "the output of the model is not finite"
            raise diverged(
                self.spec, where=where, what=what, lr=max(g["lr"] for g in self._optimizer.param_groups)
            )
        return split_metrics(scores.logits, scores.labels, split="val")

    def validate(self) -> Scores:
        """Evaluate the val videos with the current weights, at the precision of training."""
        of = self.spec.train
        batches = self.data.clips.eval_batches(self.data.val, batch_size=of.batch_size)
        return score(self.model, batches, channels_last=of.channels_last, autocast=self._amp.autocast)

    def state_dict(self) -> dict[str, Any]:
        """State of the model, optimiser, gradient scaler, position and sums."""
        self.check_finite()
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._amp.scaler.state_dict(),
            "position": vars(self.position).copy(),
            "sums": vars(self._sums).copy(),
            "speed": vars(self.speed).copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._amp.scaler.load_state_dict(state["scaler"])
        self.position = Position(**state["position"])
        sums = state["sums"].items()
        on_device = {key: value.to(self.device) for key, value in sums if isinstance(value, torch.Tensor)}
        self._sums = Sums(**on_device, seen=state["sums"]["seen"])
        self.speed = Speed(**state["speed"])
