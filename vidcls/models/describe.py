"""What a model does to the shape of a clip, what it weighs and what it costs; nothing is computed for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from vidcls.models.build import build
from vidcls.models.inputs import input_clip
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import ClipSection

_DEPTH = 2


@dataclass(frozen=True)
class Stage:
    """One step of the tensor flow.

    Attributes:
        name: Of the module inside the model.
        module: Its class.
        shape: What it gives for one clip.
        num_params: Inside it.
    """

    name: str
    module: str
    shape: tuple[int, ...]
    num_params: int


@dataclass(frozen=True)
class ModelSummary:
    """A model and one clip.

    Attributes:
        kind: Of the section.
        clip_shape: 1, C, T, H, W.
        stages: In the order of computation.
        num_params: In all.
        num_trainable: Of these, changed by training.
        gflops: Forward for one clip, in 10^9; a multiplication and its addition are two.
    """

    kind: str
    clip_shape: tuple[int, ...]
    stages: tuple[Stage, ...]
    num_params: int
    num_trainable: int
    gflops: float


def describe(section: ModelSection, *, clip: ClipSection, num_classes: int) -> ModelSummary:
    """Build a model and follow the shape of one clip through it, on torch's meta device.

    Raises:
        UserError: As `build` does.
    """
    taken = input_clip(section, clip)
    model = build(section, num_classes=num_classes, clip=taken)
    trainable = [param.requires_grad for param in model.parameters()]
    model = model.to("meta").eval()
    stages: list[Stage] = []
    hooks = [_watch(name, module, stages) for name, module in _parts(model)]
    clip_shape = (1, taken.num_channels, taken.frames, *taken.size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(clip_shape, device="meta"))
    for hook in hooks:
        hook.remove()
    sizes = [param.numel() for param in model.parameters()]
    return ModelSummary(
        kind=section.kind,
        clip_shape=clip_shape,
        stages=tuple(stages),
        num_params=sum(sizes),
        num_trainable=sum(size for size, trains in zip(sizes, trainable, strict=True) if trains),
        gflops=counter.get_total_flops() / 1e9,
    )


def _parts(module: nn.Module, *, prefix: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, nn.Module]]:
    """The modules shown: those `depth` levels in, or less where there is nothing further in.

    A list of modules, and a lone child, are no level of their own.
    """
    children = list(module.named_children())
    if prefix and (depth == 0 or not children):
        yield prefix, module
        return
    transparent = isinstance(module, nn.ModuleList) or len(children) == 1
    for name, child in children:
        inner = f"{prefix}.{name}" if prefix else name
        yield from _parts(child, prefix=inner, depth=depth if transparent else depth - 1)


def _watch(name: str, module: nn.Module, stages: list[Stage]) -> RemovableHandle:
    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output  # a GRU also gives its state
        if isinstance(first, Tensor):
            num_params = sum(param.numel() for param in module.parameters())
            stages.append(Stage(name, type(module).__name__, tuple(first.shape), num_params))

    return module.register_forward_hook(note)
