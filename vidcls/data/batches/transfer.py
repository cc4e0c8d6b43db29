"""Copies batches from the host to the device: from pinned memory, without waiting, one batch ahead.

A copy from ordinary memory first goes through a buffer of the driver, and the host waits for it. A copy from
pinned (page-locked) memory is queued, and the device makes it while it still computes the batch before. On a
CPU there is nothing to copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

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

    def arrive(self, device: torch.device) -> tuple[T, list[Tensor]]:
        """Let the work that the device gets from now on wait for the copy."""
        computing = torch.cuda.current_stream(device)
        computing.wait_event(self.copied)
        for tensor in self.tensors:
            # The memory belongs to the copying stream, so it must not be reused before the computation ends.
            tensor.record_stream(computing)
        return self.batch, self.tensors


def copy_ahead(
    batches: Iterable[tuple[T, Sequence[Tensor]]], device: torch.device
) -> Iterator[tuple[T, list[Tensor]]]:
    """Yield batches with their tensors on the device, while the copy of the next one is already queued.

    Args:
        batches: Batches, each with its tensors on the host, or on the device already.
        device: Device that computes.
    """
    if device.type != "cuda":
        for batch, tensors in batches:
            yield batch, [tensor.to(device) for tensor in tensors]
        return
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: _OnItsWay[T] | None = None
    for batch, tensors in batches:
        with torch.cuda.stream(copying):
            queued = _OnItsWay(
                batch, [to_device(tensor, device) for tensor in tensors], copying.record_event()
            )
        if waiting is not None:
            yield waiting.arrive(device)
        waiting = queued
    if waiting is not None:
        yield waiting.arrive(device)
