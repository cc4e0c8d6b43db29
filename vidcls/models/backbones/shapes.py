"""Determines the output shape of a network without computing."""

from __future__ import annotations

import torch
from torch import nn


class TooSmallError(Exception):
    """The network cannot take an input of this shape."""


def output_shape(module: nn.Module, input_shape: tuple[int, ...]) -> torch.Size:
    """Output shape of a module, determined without computing and without changing its state.

    Raises:
        TooSmallError: If the module refuses the shape.
    """
    on_meta = {
        name: tensor.to("meta")
        for tensors in (module.named_parameters(), module.named_buffers())
        for name, tensor in tensors
    }
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            output = torch.func.functional_call(module, on_meta, (torch.empty(input_shape, device="meta"),))
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
