"""Device of the models, and the memory format of their weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from vidcls.errors import UserError


def pick_device(name: str | None = None) -> torch.device:
    """Device to compute on: the given one, otherwise CUDA if available.

    Raises:
        UserError: If the name is unknown, or a CUDA device is given that is not there.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name}: unknown; allowed: cpu, cuda, cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: no CUDA device here", hint="vidcls doctor shows why")
    if device.index is not None and device.type == "cuda":
        if device.index >= (num := torch.cuda.device_count()):
            last = f"cuda:0 to cuda:{num - 1}" if num > 1 else "cuda:0"
            raise UserError(f"--device {name}: there is no such device; there is {last}")
        # Streams and events belong to the current device where none is named.
        torch.cuda.set_device(device)
    return device


def gpu_uuid(device: torch.device) -> str | None:
    """UUID of an NVIDIA GPU, without the prefix `GPU-`; None for a device that is not a GPU."""
    return str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else None


def pin(*, threads: int, deterministic: bool, tf32: bool = False) -> None:
    """Make results depend on the run alone: fixed number of threads, full float32 precision also on CUDA.

    Args:
        threads: Number of CPU threads.
        deterministic: Refuse operations that are not reproducible bit for bit.
        tf32: Let CUDA round the factors of float32 products to TF32 (10 bits).
    """
    torch.set_num_threads(threads)
    _set_tf32(tf32)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Not `use_deterministic_algorithms`, which loads torch's compiler to configure it too: over a second.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 products on CUDA without TF32, for results that are published."""
    before = torch.backends.cuda.matmul.allow_tf32
    _set_tf32(False)
    try:
        yield
    finally:
        _set_tf32(before)


def _set_tf32(is_on: bool) -> None:
    torch.backends.cudnn.allow_tf32 = is_on
    torch.backends.cuda.matmul.allow_tf32 = is_on


def to_channels_last(model: nn.Module) -> None:
    """Convert the weights of 2D and 3D convolutions to channels-innermost memory format, in place."""
    for param in model.parameters():
        if param.ndim == 5:
            param.data = param.data.contiguous(memory_format=torch.channels_last_3d)
        elif param.ndim == 4:
            param.data = param.data.contiguous(memory_format=torch.channels_last)


def clip_format(*, channels_last: bool) -> torch.memory_format:
    """Memory format of clips `[B, C, T, H, W]` that matches the weights."""
    return torch.channels_last_3d if channels_last else torch.contiguous_format
