"""Determines the output shape of a network."""

from __future__ import annotations

import torch
from torch import nn


class TooSmallError(Exception):
    """The network cannot take an input of this shape."""


def output_shape(module: nn.Module, input_shape: tuple[int, ...]) -> torch.Size:
    """Output shape of a module, determined without computing and without changing its state.

    A batch of no inputs tells it. A module that refuses it, as one whose weights are on torch's meta device
    does, is asked there: the first use of that device takes torch seconds of imports.

    Args:
        module: Module with one input and one output.
        input_shape: Shape of the input, the batch first.

    Raises:
        TooSmallError: If the module refuses the shape.
    """
    num, *rest = input_shape
    try:
        shape = _output_shape(module, torch.zeros(0, *rest, device="cpu"))
    except TooSmallError:
        return _output_shape(module, torch.zeros(input_shape, device="meta"))
    return torch.Size((num, *shape[1:]))


def _output_shape(module: nn.Module, batch: torch.Tensor) -> torch.Size:
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        there = {
            name: tensor.to(batch.device)
            for tensors in (module.named_parameters(), module.named_buffers())
            for name, tensor in tensors
        }
        with torch.no_grad():
            output = torch.func.functional_call(module, there, (batch,))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise TooSmallError(str(error).splitlines()[0] if str(error) else "the shape is wrong") from error
    finally:
        for part, mode in training.items():
            part.training = mode
    if not isinstance(output, torch.Tensor):
        raise TooSmallError(f"its output is a {type(output).__name__}, not a tensor")
    if output.shape[:1] != batch.shape[:1] or 0 in output.shape[1:]:
        raise TooSmallError(f"its output would be {list(output.shape)}")
    return output.shape
