"""Determines the output shape of a network."""

from __future__ import annotations

import torch
from torch import nn


class TooSmallError(Exception):
    """The network cannot take an input of this shape."""


_SMALL_PX = 64


def map_shape(module: nn.Module, input_shape: tuple[int, int, int, int]) -> torch.Size:
    """Shape of the map `[N, F, h, w]` of images; h and w may be those of smaller images.

    It computes the map of small images, if the module takes them: that is fast, while the first use of the
    meta device makes torch load its compiler, which takes over a second.

    Raises:
        TooSmallError: If the module refuses the shape.
    """
    num, channels, height, width = input_shape
    if any(param.is_meta for param in module.parameters()):
        return output_shape(module, input_shape)
    try:
        small = (num, channels, min(height, _SMALL_PX), min(width, _SMALL_PX))
        return _output_shape(module, small, device="cpu")
    except TooSmallError:
        return output_shape(module, input_shape)


def output_shape(module: nn.Module, input_shape: tuple[int, ...]) -> torch.Size:
    """Output shape of a module, determined without computing and without changing its state.

    Raises:
        TooSmallError: If the module refuses the shape.
    """
    return _output_shape(module, input_shape, device="meta")


def _output_shape(module: nn.Module, input_shape: tuple[int, ...], *, device: str) -> torch.Size:
    there = {
        name: tensor.to(device)
        for tensors in (module.named_parameters(), module.named_buffers())
        for name, tensor in tensors
    }
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            image = torch.zeros(input_shape, device=device)
            output = torch.func.functional_call(module, there, (image,))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise TooSmallError(str(error).splitlines()[0] if str(error) else "the shape is wrong") from error
    finally:
        for part, mode in training.items():
            part.training = mode
    if not isinstance(output, torch.Tensor):
        raise TooSmallError(f"its output is a {type(output).__name__}, not a tensor")
    if 0 in output.shape:
        raise TooSmallError(f"its output would be {list(output.shape)}")
    return output.shape
