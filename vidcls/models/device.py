"""Where models compute, and how their weights lie in memory."""

from __future__ import annotations

import os

import torch
from torch import nn

from vidcls.errors import UserError


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: the one named, else CUDA where there is one.

    Raises:
        UserError: If the name is unknown, or CUDA is named and absent.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name}: unknown; allowed: cpu, cuda, cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: no CUDA device here", hint="vidcls doctor says why")
    return device


def pin(*, threads: int, deterministic: bool) -> None:
    """Make results depend on the run alone: threads as at its start, float32 that is float32 on CUDA too.

    Args:
        threads: Number of CPU threads.
        deterministic: Refuse operations that do not repeat bit for bit.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)


def to_channels_last(model: nn.Module) -> None:
    """Lay the weights of 2D and 3D convolutions out with channels innermost, in place."""
    for param in model.parameters():
        if param.ndim == 5:
            param.data = param.data.contiguous(memory_format=torch.channels_last_3d)
        elif param.ndim == 4:
            param.data = param.data.contiguous(memory_format=torch.channels_last)


def clip_format(*, channels_last: bool) -> torch.memory_format:
    """The memory format of clips `[B, C, T, H, W]` that goes with the weights."""
    return torch.channels_last_3d if channels_last else torch.contiguous_format
