"""Compiles models with torch.compile."""

from __future__ import annotations

from typing import Literal

import torch

from vidcls.errors import UserError
from vidcls.models.freezing import is_frozen
from vidcls.models.kinds.base import VideoModel

_HINT = "set train.compile=false, or install what is missing: torch needs a C++ compiler, and Triton on CUDA"
_MOST_VARIANTS = 256
"""By default torch stops after eight, at which a resumed training, which compiles anew, does not stop."""


def compile_model(model: VideoModel, how: Literal[True, "cuda_graphs"], device: torch.device) -> None:
    """Compile the forward pass of a model in place; its weights and their names stay as they are.

    A part that torch cannot compile runs as before, and so does a frozen backbone, whose features must be
    equal to stored ones. Each shape of a batch is compiled for itself, so that results do not depend on which
    shapes came before.

    Args:
        model: Model on its device.
        how: True, or `cuda_graphs` to replay the compiled kernels as CUDA graphs, which saves their launches.
        device: Device of the model.

    Raises:
        UserError: As for `refuse_without_compiler`.
    """
    refuse_without_compiler(how, device)
    torch._dynamo.config.recompile_limit = _MOST_VARIANTS  # noqa: SLF001  (its public name)
    for leaf in model.leaves():
        if is_frozen(leaf.backbone):
            leaf.encode = torch.compiler.disable(leaf.encode)  # type: ignore[method-assign, no-untyped-call]
    model.compile(mode="reduce-overhead" if how == "cuda_graphs" else "default", dynamic=False)


def refuse_without_compiler(how: Literal[True, "cuda_graphs"], device: torch.device) -> None:
    """Refuse to compile where torch cannot.

    Args:
        how: As for `compile_model`.
        device: Device that computes.

    Raises:
        UserError: If torch cannot compile here, with its reason.
    """
    if how == "cuda_graphs" and device.type != "cuda":
        raise UserError("train.compile: cuda_graphs needs a CUDA device", hint="set train.compile=true")
    try:
        torch.compile(torch.sin, fullgraph=True)(torch.ones(8, device=device))
    except Exception as error:  # each backend of the compiler raises its own errors
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"train.compile: torch cannot compile here: {reason}", hint=_HINT) from error
