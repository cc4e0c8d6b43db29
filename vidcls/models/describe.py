"""Describes a model: shapes of a clip in it, number of parameters, and cost; nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from vidcls.models.build import build
from vidcls.models.inputs import input_clip
from vidcls.models.stages import is_list_of_stages, param_levels
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import ClipSection

_DEPTH = 2


@dataclass(frozen=True)
class FlowStep:
    """One step of the tensor flow.

    Attributes:
        name: Name of the module inside the model.
        module: Class of the module.
        shape: Output shape for one clip.
        num_params: Number of parameters in the module.
        num_trainable: Number of these that training changes.
        level: 0 for the head; 1 for the stage of a backbone next to it, and so on down: the power of
            `optim.layer_decay` in its learning rate. None if the module spans several levels.
    """

    name: str
    module: str
    shape: tuple[int, ...]
    num_params: int
    num_trainable: int
    level: int | None


@dataclass(frozen=True)
class ModelSummary:
    """Summary of a model for one clip.

    Attributes:
        kind: Kind of the model's section.
        clip_shape: 1, C, T, H, W.
        stages: Steps in the order of computation.
        num_params: Total number of parameters.
        num_trainable: Number of these that training changes.
        gflops: Operations of the forward pass for one clip, in 10^9; a multiply-add counts as two.
    """

    kind: str
    clip_shape: tuple[int, ...]
    stages: tuple[FlowStep, ...]
    num_params: int
    num_trainable: int
    gflops: float


def describe(section: ModelSection, *, clip: ClipSection, num_classes: int) -> ModelSummary:
    """Build a model and record the shapes of one clip in it, on torch's meta device.

    Raises:
        UserError: As for `build`.
    """
    taken = input_clip(section, clip)
    model = build(section, num_classes=num_classes, clip=taken)
    model = model.to("meta").eval()
    levels = param_levels(model)
    stages: list[FlowStep] = []
    hooks = [_watch(name, module, stages, levels) for name, module in _parts(model.named_root)]
    clip_shape = (1, taken.num_channels, taken.frames, *taken.size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(clip_shape, device="meta"))
    for hook in hooks:
        hook.remove()
    return ModelSummary(
        kind=section.kind,
        clip_shape=clip_shape,
        stages=tuple(stages),
        num_params=sum(param.numel() for param in model.parameters()),
        num_trainable=_num_trainable(model),
        gflops=counter.get_total_flops() / 1e9,
    )


def _parts(module: nn.Module, *, prefix: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, nn.Module]]:
    """Modules to show: those at nesting level `depth`, or above it if they have no children.

    A list of modules or stages, and a single child, do not count as a level.
    """
    children = list(module.named_children())
    is_list = isinstance(module, nn.ModuleList) or is_list_of_stages(prefix)
    if prefix and (not children or (depth == 0 and not is_list)):
        yield prefix, module
        return
    transparent = is_list or len(children) == 1
    for name, child in children:
        inner = f"{prefix}.{name}" if prefix else name
        yield from _parts(child, prefix=inner, depth=depth if transparent else depth - 1)


def _num_trainable(module: nn.Module) -> int:
    return sum(param.numel() for param in module.parameters() if param.requires_grad)


def _watch(
    name: str, module: nn.Module, stages: list[FlowStep], levels: Mapping[int, int]
) -> RemovableHandle:
    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output  # a GRU also gives its state
        if isinstance(first, Tensor):
            inside = {levels.get(id(param), 0) for param in module.parameters()}
            stages.append(
                FlowStep(
                    name,
                    type(module).__name__,
                    shape=tuple(first.shape),
                    num_params=sum(param.numel() for param in module.parameters()),
                    num_trainable=_num_trainable(module),
                    level=inside.pop() if len(inside) == 1 else None,
                )
            )

    return module.register_forward_hook(note)
