"""Stages of a backbone, the units of layer-wise learning rates and gradual unfreezing.

A stage is a child of the backbone's body. Three rules make this the same for every family of networks:

- A single child is expanded, such as `features` of EfficientNet in torchvision.
- Children called `features`, `blocks`, `stages`, `layers` or `trunk_output` (RegNet) are lists of stages, and
  are expanded too.
- A norm alone is not a stage: it belongs to the child before it, whose output it normalises.

So a ResNet has five stages (`conv1` with `bn1`, `layer1` to `layer4`), and `small` has three.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from vidcls.models.freezing import is_frozen
from vidcls.models.kinds.base import VideoModel

_LISTS = {"features", "blocks", "stages", "layers", "trunk_output"}


@dataclass
class BackboneStage:
    """Stage of a backbone.

    Attributes:
        name: Name of its first module in the backbone.
        modules: Modules in the order of computation.
        params: All parameters, including frozen ones.
    """

    name: str
    modules: list[nn.Module] = field(default_factory=list)
    params: list[nn.Parameter] = field(default_factory=list)


def stages_of(backbone: nn.Module) -> list[BackboneStage]:
    """Stages of a backbone from its output to its input: the first is next to the head."""
    stages: list[BackboneStage] = []
    for name, module in _opened(backbone, prefix=""):
        if not stages or not _is_norm(module):
            stages.append(BackboneStage(name))
        stages[-1].modules.append(module)
        stages[-1].params.extend(module.parameters())
    if stages:
        # Parameters outside of all stages, such as learned position embeddings, belong to the input.
        inside = {id(param) for stage in stages for param in stage.params}
        stages[0].params += [param for param in backbone.parameters() if id(param) not in inside]
    return stages[::-1]


def param_levels(model: VideoModel) -> dict[int, int]:
    """Level below the head of each backbone parameter, by `id`: 1 for the stage next to the head."""
    return {
        id(param): level
        for leaf in model.leaves()
        if leaf.is_divided
        for level, stage in enumerate(stages_of(leaf.backbone), start=1)
        for param in stage.params
    }


def unfreezing_stages(model: VideoModel) -> list[list[BackboneStage]]:
    """Steps of gradual unfreezing: each step unfreezes one stage of every backbone.

    Stages that are already fully frozen are left out and stay frozen.
    """
    columns = [
        [stage for stage in stages_of(leaf.backbone) if any(param.requires_grad for param in stage.params)]
        for leaf in model.leaves()
        if leaf.is_divided and not is_frozen(leaf.backbone)
    ]
    height = max(map(len, columns), default=0)
    return [[column[k] for column in columns if k < len(column)] for k in range(height)]


def is_list_of_stages(name: str) -> bool:
    """Whether a child of that name is a list of stages instead of a stage."""
    return name.rpartition(".")[2].strip("_") in _LISTS


def _opened(module: nn.Module, *, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    children = [(f"{prefix}{name}", child) for name, child in module.named_children() if _has_params(child)]
    if len(children) == 1 and _has_params_inside(children[0][1]):
        yield from _opened(children[0][1], prefix=f"{children[0][0]}.")
        return
    for name, child in children:
        if is_list_of_stages(name):
            yield from (
                (f"{name}.{inner}", part) for inner, part in child.named_children() if _has_params(part)
            )
        else:
            yield name, child


def _has_params(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _has_params_inside(module: nn.Module) -> bool:
    return any(_has_params(child) for child in module.children())


def _is_norm(module: nn.Module) -> bool:
    owners = [part for part in module.modules() if any(True for _ in part.parameters(recurse=False))]
    return all("norm" in type(part).__name__.lower() for part in owners)
