"""Counts what computations cost, while they run on real or fake tensors: operations, traffic, peak memory.

torch's own memory tracker (`torch.distributed._tools.mem_tracker`) raises for frozen parameters, and its
counter of operations takes the gradient of a depthwise convolution for that of a dense one.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

_ALLOCATIONS = (torch.ops.aten.empty, torch.ops.aten.empty_like, torch.ops.aten.new_empty)
_HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class OperationCost:
    """Cost of one operation.

    Attributes:
        flops: Floating-point operations; a multiply-add counts as two.
        num_bytes: Size of all tensors that it reads and writes.
        is_half: Whether it computes in 16 bits.
    """

    flops: int
    num_bytes: int
    is_half: bool


class CostCounter(TorchDispatchMode):
    """Counts while it is active; views cost nothing.

    Args:
        held: Tensors that exist already.

    Attributes:
        operations: Cost of each operation, in order.
        peak_bytes: Peak of the memory of all tensors, of those that existed and of those that were made.
    """

    def __init__(self, held: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[OperationCost] = []
        self.peak_bytes = 0
        self._current_bytes = 0
        self._alive: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        for tensor in held:
            self._hold(tensor)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count its cost."""
        given = dict(kwargs or {})
        result = func(*args, **given)
        read, written = _tensors((args, given)), _tensors(result)
        for tensor in written:
            self._hold(tensor)
        if not func.is_view and func.overloadpacket not in _ALLOCATIONS:
            operands = [tensor for tensor in read if tensor.is_floating_point()]
            self.operations.append(
                OperationCost(
                    flops=_flops(func, args, given, result),
                    num_bytes=sum(map(_moved_bytes, (*read, *written))),
                    is_half=bool(operands) and operands[0].dtype in _HALF,
                )
            )
        return result

    def _hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._alive:
            return
        self._alive.add(storage)
        num_bytes = storage.nbytes()
        self._current_bytes += num_bytes
        self.peak_bytes = max(self.peak_bytes, self._current_bytes)
        weakref.finalize(storage, self._release, num_bytes).atexit = False

    def _release(self, num_bytes: int) -> None:
        self._current_bytes -= num_bytes


def _moved_bytes(tensor: Tensor) -> int:
    """Size of a tensor; what is expanded is read once."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _flops(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int:
    packet = func.overloadpacket
    if packet is torch.ops.aten.convolution_backward:
        return _convolution_backward(args)
    count: Callable[..., int] | None = flop_registry.get(packet)
    return int(count(*args, **kwargs, out_val=result)) if count is not None else 0


def _convolution_backward(args: Sequence[Any]) -> int:
    """Operations of the gradients of a convolution: those of the forward pass for each gradient."""
    grad, _, weight, *_, output_mask = args
    forward = 2 * grad.numel() * math.prod(weight.shape[1:])
    return int(forward * sum(output_mask[:2]))
