"""Compiles models with torch.compile."""

from __future__ import annotations

from typing import Literal

import torch

from vidcls.errors import UserError
from vidcls.models.kinds.base import VideoModel

_HINT = "set train.compile=false, or install what is missing: torch needs a C++ compiler, and Triton on CUDA"


def compile_model(model: VideoModel, how: Literal[True, "cuda_graphs"], device: torch.device) -> None:
    """Compile the forward pass of a model in place; its weights and their names stay as they are.

    A part that torch cannot compile runs as before. Each shape of a batch is compiled for itself, so that the
    results do not depend on which shapes came before, and a resumed training computes the same.

    Args:
        model: Model on its device.
        how: True, or `cuda_graphs` to replay the compiled kernels as CUDA graphs, which saves their launches.
        device: Device of the model.

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
    model.compile(mode="reduce-overhead" if how == "cuda_graphs" else "default", dynamic=False)
