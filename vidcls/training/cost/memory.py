"""Memory and cost of a training step, from fake tensors: nothing is computed, no device is needed.

Each tensor of a step with its backward pass and the optimiser is followed, at the precision of the training.
Work space of libraries (cuDNN, oneDNN) and the context of CUDA come on top.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from vidcls.choices import Precision
from vidcls.models.build import build
from vidcls.models.device import clip_format, to_channels_last
from vidcls.models.inputs import input_clip
from vidcls.models.kinds.base import VideoModel
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip
from vidcls.training.cost.counter import CostCounter, OperationCost
from vidcls.training.optim import build_optimizer
from vidcls.training.precision import Amp

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Footprint:
    """Memory and operations of one training step.

    Attributes:
        weight_bytes: Size of parameters and buffers.
        optimizer_bytes: Size of the optimiser state.
        training_bytes: Peak of all tensors during a step: weights, optimiser, batch, activations, gradients.
        view_bytes: Size of the features of one clip in the feature store.
        gflops: Operations of a whole step, in 10^9; a multiply-add counts as two.
        operations: Cost of each operation of a step, in order.
    """

    weight_bytes: int
    optimizer_bytes: int
    training_bytes: int
    view_bytes: int
    gflops: float
    operations: Sequence[OperationCost]

    @property
    def last_bytes(self) -> int:
        """Size of a checkpoint from which a training resumes."""
        return self.weight_bytes + self.optimizer_bytes


def footprint(
    spec: Spec, *, num_classes: int, precision: Precision, batch_size: int | None = None
) -> Footprint:
    """Count the memory and the operations of a training step of a spec.

    Args:
        spec: Spec with the model, its clips, the optimiser and the batch size.
        num_classes: Number of classes K.
        precision: Precision of the training.
        batch_size: Number of clips; None takes that of the spec.

    Raises:
        UserError: As for `build`.
    """
    num_clips = batch_size or spec.train.batch_size
    taken = input_clip(spec.model, spec.clip)
    with torch.device("meta"):
        model = build(spec.model, num_classes=num_classes, clip=taken).train()
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        warnings.catch_warnings(action="ignore"),
    ):
        model.to_empty(device=_CPU)
        if spec.train.channels_last:
            to_channels_last(model)
        optimizer = build_optimizer(spec.optim, model)
        step = _Step(spec, model, optimizer, taken, Amp(precision, _CPU), num_clips=num_clips)
        step.take()  # creates the state of the optimiser
        optimizer.zero_grad(set_to_none=True)
        weights = [*model.parameters(), *model.buffers()]
        state = [
            value
            for of_param in optimizer.state.values()
            for value in of_param.values()
            if isinstance(value, torch.Tensor)
        ]
        with CostCounter((*weights, *state)) as counter:
            step.take()
        with torch.no_grad():
            view_bytes = sum(leaf.nbytes for leaf in model.eval().encode(step.clip())) // num_clips
    return Footprint(
        weight_bytes=sum(tensor.nbytes for tensor in weights),
        optimizer_bytes=sum(tensor.nbytes for tensor in state),
        training_bytes=counter.peak_bytes,
        view_bytes=view_bytes,
        gflops=sum(operation.flops for operation in counter.operations) / 1e9,
        operations=tuple(counter.operations),
    )


def bytes_of_smaller_batches(spec: Spec, *, num_classes: int, precision: Precision) -> dict[int, int]:
    """Memory of a step with half the batch of a spec, with a quarter, and so on, by the number of clips."""
    found: dict[int, int] = {}
    num_clips = spec.train.batch_size
    while (num_clips := num_clips // 2) > 0:
        counted = footprint(spec, num_classes=num_classes, precision=precision, batch_size=num_clips)
        found[num_clips] = counted.training_bytes
    return found


class _Step:
    """Training step on fake tensors, as `vidcls.training.loop` takes it."""

    def __init__(
        self,
        spec: Spec,
        model: VideoModel,
        optimizer: torch.optim.Optimizer,
        clip: Clip,
        amp: Amp,
        *,
        num_clips: int,
    ) -> None:
        self._spec, self._model, self._optimizer, self._clip = spec, model, optimizer, clip
        self._amp, self._num_clips = amp, num_clips

    def clip(self) -> torch.Tensor:
        """Batch `[B, C, T, H, W]` float32, channels innermost in memory."""
        num_frames = 1 if self._clip.unit == "frame" else self._clip.frames
        shape = (self._num_clips, num_frames, *self._clip.size, self._clip.num_channels)
        clip = torch.empty(shape, device=_CPU).permute(0, 4, 1, 2, 3)
        return clip.contiguous(memory_format=clip_format(channels_last=self._spec.train.channels_last))

    def take(self) -> None:
        """Take a step."""
        labels = torch.zeros(self._num_clips, dtype=torch.int64, device=_CPU)
        with self._amp.autocast():
            loss = F.cross_entropy(self._model(self.clip()), labels)
        # Not `Amp.step`: a gradient scaler reads a value, which fake tensors do not have.
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
