"""Tries a module of the user on two random clips, before anything is decoded or trained.

It must give logits, in training too. Whether it can be divided into its backbone and its head is tried with
other weights than its own, on a copy: at the start a gate or the last layer may be zero, which would hide
what lies between the two.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vidcls.errors import UserError, VidclsError, reason_of
from vidcls.user_code.code import UserCode
from vidcls.user_code.load import explained

_CLIPS = 2
_NOISE = 0.1


def without_parts(net: nn.Module) -> str | None:
    """Reason why a module has no backbone or no head; None if it has both."""
    missing = [name for name in ("backbone", "head") if not isinstance(getattr(net, name, None), nn.Module)]
    return f"it has no part {' and no part '.join(missing)}" if missing else None


def try_net(code: UserCode, net: nn.Module, *, clip_shape: tuple[int, ...], num_classes: int) -> str | None:
    """Try a module; its own weights and the random numbers after it stay as they are.

    Args:
        code: Code of the module, for messages.
        net: Module.
        clip_shape: C, T, H, W.
        num_classes: Number of classes K.

    Returns:
        Reason why it cannot be divided into backbone and head; None if it can.

    Raises:
        UserError: If it raises, with the user's line, or gives something else than logits `[B, K]`.
    """
    param = next(net.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    clip = torch.randn(_CLIPS, *clip_shape, generator=generator).to(param.device)
    training, wanted = net.training, (_CLIPS, num_classes)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        _check(code, called(code, net.eval(), clip), wanted, when="")
        try:
            other = copy.deepcopy(net)
        except Exception as error:  # whatever the user's code raises
            net.train(training)
            return f"it cannot be copied: {reason_of(error)}"
        net.train(training)
        _check(code, called(code, other.train(), clip), wanted, when=" in training")
        return without_parts(net) or _why_not_divided(other, clip)


def called(code: UserCode, net: Callable[[Tensor], Any], clip: Tensor) -> Any:
    """Call a user's module, with its line in every error but those of memory."""
    try:
        return net(clip)
    except VidclsError:
        raise
    except Exception as error:  # whatever the user's code raises
        if "memory" in str(error).lower():
            raise  # it is explained elsewhere, with what would fit
        raise explained(code, error) from error


def _check(code: UserCode, logits: object, wanted: tuple[int, int], *, when: str) -> None:
    if isinstance(logits, Tensor) and tuple(logits.shape) == wanted:
        return
    if isinstance(logits, Tensor):
        got, hint = (
            str(list(logits.shape)),
            "its last layer must have num_classes outputs: take the argument num_classes, or set it in "
            "model.args if it takes any keyword",
        )
    else:
        got, hint = f"an object of type {type(logits).__name__}", "return the tensor of the logits alone"
    raise UserError(
        f"{code.target}: gives {got}{when} for {wanted[0]} clips of {wanted[1]} classes; expected logits "
        f"{list(wanted)}",
        hint=hint,
    )


def _why_not_divided(net: nn.Module, clip: Tensor) -> str | None:
    generator = torch.Generator().manual_seed(1)
    for param in net.parameters():
        if param.is_floating_point():
            param.add_(_NOISE * torch.randn(param.shape, generator=generator).to(param))
    backbone, head = net.get_submodule("backbone"), net.get_submodule("head")
    for training in (False, True):
        net.train(training)
        torch.manual_seed(2)
        whole = net(clip)
        torch.manual_seed(2)
        try:
            features = backbone(clip)
            if not isinstance(features, Tensor):
                return f"its backbone gives an object of type {type(features).__name__}, not a tensor"
            divided = head(features)
        except Exception as error:  # whatever the user's code raises
            return f"head(backbone(clip)) fails: {reason_of(error)}"
        if not isinstance(divided, Tensor) or divided.shape != whole.shape:
            return "head(backbone(clip)) gives something else than it does"
        if not torch.allclose(divided, whole, rtol=1e-3, atol=1e-5 * (1 + whole.abs().max().item())):
            return f"its output{' in training' if training else ''} is not head(backbone(clip))"
    return None
