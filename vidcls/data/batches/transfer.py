"""Copies batches from the host to the device: from pinned memory, without waiting, one batch ahead.

A copy from ordinary memory first goes through a buffer of the driver, and the host waits for it. A copy from
pinned (page-locked) memory is queued, and the device makes it while it still computes the batch before. On a
CPU there is nothing to copy.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

_MOST_QUEUED = 2
"""Batches that wait on the device for their turn: more would only hold memory."""
T = TypeVar("T")


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Start to copy a tensor to the device; the host does not wait for the copy."""
    if device.type == "cuda" and tensor.device.type == "cpu" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@dataclass(frozen=True)
class _OnItsWay(Generic[T]):
    """Batch whose copy was queued."""

    batch: T
    tensors: list[Tensor]
    copied: torch.cuda.Event

    def arrive(self, computing: torch.cuda.Stream) -> tuple[T, list[Tensor]]:
        """Let the work that the device gets from now on wait for the copy."""
        computing.wait_event(self.copied)
        for tensor in self.tensors:
            # The memory belongs to the copying stream, so it must not be reused before the computation ends.
            tensor.record_stream(computing)
        return self.batch, self.tensors


class Copier:
    """Copies batches to one device, all on one stream: memory is kept for each stream that ever had some.

    Args:
        device: Device that computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        is_cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if is_cuda else None  # type: ignore[no-untyped-call]

    def ahead(self, batches: Iterable[tuple[T, Sequence[Tensor]]]) -> Iterator[tuple[T, list[Tensor]]]:
        """Yield batches with their tensors on the device, while the copy of the next one is already queued.

        Args:
            batches: Batches, each with its tensors on the host, or on the device already.
        """
        if self._stream is None:
            for batch, tensors in batches:
                yield batch, [tensor.to(self._device) for tensor in tensors]
            return
        used: collections.deque[torch.cuda.Event] = collections.deque()
        waiting: _OnItsWay[T] | None = None
        for batch, tensors in batches:
            if len(used) >= _MOST_QUEUED:
                used.popleft().synchronize()
            with torch.cuda.stream(self._stream):
                moved = [to_device(tensor, self._device) for tensor in tensors]
                queued = _OnItsWay(batch, moved, self._stream.record_event())
            if waiting is not None:
                computing = torch.cuda.current_stream(self._device)
                yield waiting.arrive(computing)
                used.append(computing.record_event())
            waiting = queued
        if waiting is not None:
            yield waiting.arrive(torch.cuda.current_stream(self._device))
