"""Optimiser of a spec, and the learning rate as a pure function of the step."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import nn

from vidcls.errors import UserError
from vidcls.models.kinds.base import VideoModel
from vidcls.models.kinds.custom import refuse_whole
from vidcls.models.stages import param_levels
from vidcls.spec.sections import AdamWSection, SGDSection


class _Eager(torch.optim.Optimizer):
    """Optimizer whose methods do not load torch's compiler, which takes longer than a head needs to train.

    torch wraps the methods for code that is compiled, and the wrapper loads the compiler when it is first
    called. Here the methods within are called.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the parameters."""
        return inspect.unwrap(super().step)(self, closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients."""
        inspect.unwrap(super().zero_grad)(self, set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters."""
        inspect.unwrap(super().add_param_group)(self, param_group)

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        state: dict[str, Any] = inspect.unwrap(super().state_dict)(self)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state, which another device may have written: the kernels stay those of this one."""
        groups = [
            {**stored, "fused": own["fused"]}
            for stored, own in zip(state_dict["param_groups"], self.param_groups, strict=True)
        ]
        inspect.unwrap(super().load_state_dict)(self, {**state_dict, "param_groups": groups})


class _AdamW(_Eager, torch.optim.AdamW):
    pass


class _SGD(_Eager, torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the parameters; for fused kernels, momentum starts at zero.

        torch starts it with the first gradient: for all parameters at once, which fails where gradual
        unfreezing adds some later, and from memory with undefined content if that step overflows in fp16.
        """
        for group in self.param_groups:
            if group["fused"] and group["momentum"]:
                for param in group["params"]:
                    if param.grad is not None and self.state[param].get("momentum_buffer") is None:
                        self.state[param]["momentum_buffer"] = torch.zeros_like(param)
        return super().step(closure)


def build_optimizer(section: AdamWSection | SGDSection, model: VideoModel) -> torch.optim.Optimizer:
    """Build AdamW or SGD over all parameters that are not frozen.

    Weight decay applies to weights, but not to norms and biases (one dimension). Each stage of a backbone has
    `layer_decay` times the learning rate of the stage above it (ULMFiT, Howard and Ruder 2018,
    arXiv:1801.06146; BEiT, arXiv:2106.08254): parameter groups store their factor as `lr_scale`, see
    `set_learning_rate`.

    Raises:
        UserError: If `layer_decay` has no effect, because the backbones are frozen or there are none.
    """
    if section.layer_decay < 1:
        refuse_whole(model, "optim.layer_decay")
    levels = param_levels(model) if section.layer_decay < 1 else {}
    trained = [param for param in model.parameters() if param.requires_grad]
    if section.layer_decay < 1 and not any(levels.get(id(param)) for param in trained):
        raise UserError(
            "optim.layer_decay: has no effect, because the whole backbone is frozen",
            hint="leave one of the two out",
        )
    params: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for param in trained:
        scale = section.layer_decay ** levels.get(id(param), 0)
        params.setdefault((scale, param.ndim > 1), []).append(param)
    groups = [
        {"params": params[key], "lr_scale": key[0], "weight_decay": section.weight_decay if key[1] else 0.0}
        for key in sorted(params, reverse=True)
    ]
    # Fused kernels make one pass over the weights. They skip a step that overflowed under fp16 by themselves;
    # others make the host wait for it.
    fused = True if trained[0].device.type in ("cpu", "cuda") else None
    if isinstance(section, AdamWSection):
        return _AdamW(groups, lr=section.lr, betas=section.betas, fused=fused)
    return _SGD(groups, lr=section.lr, momentum=section.momentum, nesterov=section.nesterov, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the head; all stages below get theirs by their factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def learning_rate(
    section: AdamWSection | SGDSection, step: int, *, steps_per_epoch: int, num_epochs: int
) -> float:
    """Learning rate of a step: linear warm-up, then half a cosine to zero (arXiv:1608.03983) or constant.

    Args:
        section: Section with peak, warm-up and schedule.
        step: Step, counted from 0 over the whole training.
        steps_per_epoch: Number of training steps per epoch.
        num_epochs: Number of epochs of the whole training.
    """
    warmup = section.warmup_epochs * steps_per_epoch
    if step < warmup:
        return section.lr * (step + 1) / (warmup + 1)
    if section.schedule == "constant":
        return section.lr
    progress = (step - warmup) / max(num_epochs * steps_per_epoch - warmup, 1)
    return section.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
