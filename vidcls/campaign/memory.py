"""Counts the memory of a training on torch's meta device: nothing is computed or allocated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from vidcls.choices import Precision
from vidcls.models.build import build
from vidcls.models.freezing import is_frozen
from vidcls.models.inputs import input_clip
from vidcls.spec.experiment import Spec
from vidcls.spec.optim import AdamWSection

_FLOAT_BYTES = 4
_PASSES = 3
"""Cost of a step in forward passes: a backward pass costs about two. torch's counter cannot be used, because
it counts the gradient of a depthwise convolution like that of a dense one."""


@dataclass(frozen=True)
class Footprint:
    """Memory and operations of one training step.

    Attributes:
        weight_bytes: Size of parameters and buffers.
        gradient_bytes: Size of the gradients; frozen parts have none.
        optimizer_bytes: Size of the optimiser state.
        activation_bytes: Size of the batch and of the activations that its backward pass needs.
        view_bytes: Size of the features of one clip in the feature store.
        gflops: Operations of a whole step, in 10^9; a multiply-add counts as two.
    """

    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    view_bytes: int
    gflops: float

    @property
    def training_bytes(self) -> int:
        """Total memory of a training step."""
        return self.weight_bytes + self.gradient_bytes + self.optimizer_bytes + self.activation_bytes

    @property
    def last_bytes(self) -> int:
        """Size of a checkpoint from which a training resumes."""
        return self.weight_bytes + self.optimizer_bytes


def footprint(spec: Spec, *, num_classes: int, precision: Precision) -> Footprint:
    """Count the memory of a training step of a spec.

    Memory of the libraries (CUDA context, work space of convolutions) is not included.

    Args:
        spec: Spec with the model, its clips, the optimiser and the batch size.
        num_classes: Number of classes K.
        precision: Precision of the training; below float32, activations take half the memory.

    Raises:
        UserError: As for `build`.
    """
    taken = input_clip(spec.model, spec.clip)
    with torch.device("meta"):
        model = build(spec.model, num_classes=num_classes, clip=taken).train()
        num_frames = 1 if taken.unit == "frame" else taken.frames
        clip = torch.empty(spec.train.batch_size, taken.num_channels, num_frames, *taken.size)
        labels = torch.empty(spec.train.batch_size, dtype=torch.int64)
    activations, gflops = _forward(model, clip, labels)
    with torch.no_grad():
        view_bytes = sum(leaf.nbytes for leaf in model.encode(clip)) // spec.train.batch_size
    scale = 1.0 if precision == "fp32" else 0.5
    only_head = all(is_frozen(leaf.backbone) for leaf in model.leaves())
    num_params = sum(param.numel() for param in model.parameters())
    num_trained = sum(param.numel() for param in model.parameters() if param.requires_grad)
    weights = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    # Under mixed precision each weight has a half-precision copy during a step.
    copies = 0 if precision == "fp32" else num_params * _FLOAT_BYTES // 2
    return Footprint(
        weight_bytes=weights,
        gradient_bytes=num_trained * _FLOAT_BYTES,
        optimizer_bytes=num_trained * _FLOAT_BYTES * _moments(spec),
        activation_bytes=round(activations * scale) + clip.nbytes + copies,
        view_bytes=view_bytes,
        gflops=gflops * (1 if only_head else _PASSES),
    )


def _forward(model: nn.Module, clip: Tensor, labels: Tensor) -> tuple[int, float]:
    """Bytes for the backward pass without weights and batch, and operations of the forward pass in 10^9."""
    own = {_key(tensor) for tensor in (*model.parameters(), *model.buffers(), clip)}
    saved: dict[StorageWeakRef, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        # Several views of one storage count once.
        if (key := _key(tensor)) not in own:
            saved[key] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor), FlopCounterMode(display=False) as counter:
        loss = F.cross_entropy(model(clip), labels)
    total = sum(saved.values())
    del loss  # until here it keeps the storages alive, so that keys are unique
    return total, counter.get_total_flops() / 1e9


def _key(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _moments(spec: Spec) -> int:
    """Number of values that the optimiser stores per parameter."""
    if isinstance(spec.optim, AdamWSection):
        return 2
    return 1 if spec.optim.momentum else 0
