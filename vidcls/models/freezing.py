"""Freezes parts of a model, so that they keep their initial weights.

Only `requires_grad` defines what is frozen. A module with all parameters frozen stays in evaluation mode, so
that training changes neither the statistics of its norms nor its output by dropout or stochastic depth. A
norm that kept averaging would change the output of a frozen backbone.
"""

from __future__ import annotations

from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vidcls.errors import UserError, did_you_mean
from vidcls.spec.model import CustomSection, SingleModelSection

_HINT = (
    "vidcls model show SPEC lists the parts; for a member of an ensemble, write the names within the member"
)


def is_frozen(module: nn.Module) -> bool:
    """Whether a module has parameters and all of them are frozen."""
    has_params = False
    for param in module.parameters():
        if param.requires_grad:
            return False
        has_params = True
    return has_params


def freeze(model: nn.Module, section: SingleModelSection | CustomSection, *, root: nn.Module) -> None:
    """Freeze the parts that a section selects, in a model with one `backbone`.

    Args:
        model: Newly built model.
        section: Its section.
        root: Module of the model in which the names of parts are looked up.

    Raises:
        UserError: If a name is unknown, nothing would be left to train, or a setting would have no effect.
    """
    _freeze_parts(root, section.freeze)
    if isinstance(section, SingleModelSection) and section.batch_norm != "train":
        _freeze_norms(model.get_submodule("backbone"), section.batch_norm, name=section.backbone)
    if is_frozen(model):
        raise UserError(
            "model.freeze: nothing is left to train",
            hint="leave out a part, such as the last layer: classifier",
        )
    model.train()


def _freeze_parts(model: nn.Module, names: tuple[str, ...]) -> None:
    modules = dict(model.named_modules())
    params = dict(model.named_parameters())
    del modules[""]
    for name in names:
        if name in params:
            params[name].requires_grad_(False)
        elif name not in modules:
            parts = ", ".join(child for child, _ in model.named_children())
            meant = did_you_mean(name, [*modules, *params], num=3) or f"it has the parts {parts}"
            raise UserError(f"model.freeze: the model has no part {name}; {meant}", hint=_HINT)
        elif not any(True for _ in modules[name].parameters()):
            raise UserError(f"model.freeze: {name} has no parameters that could be frozen", hint=_HINT)
        else:
            modules[name].requires_grad_(False)


def _freeze_norms(backbone: nn.Module, which: Literal["partial", "frozen"], *, name: str) -> None:
    """Keep the pretrained statistics and factors of batch norms.

    `partial` trains the first batch norm, which depends on the distribution of the input (TSN, Wang et al.
    2016, arXiv:1608.00859).
    """
    norms = [part for part in backbone.modules() if isinstance(part, _BatchNorm)]
    moving = [norm for norm in norms[which == "partial" :] if not is_frozen(norm)]
    if not moving:
        reason = "model.freeze freezes all batch norms already" if norms else f"{name} has no batch norm"
        if len(norms) == 1:
            reason = f"{name} has only one batch norm" if which == "partial" else reason
        raise UserError(
            f"model.batch_norm: {which} has no effect, because {reason}", hint="set model.batch_norm: train"
        )
    for norm in moving:
        norm.requires_grad_(False)
