"""Reads values back from the device without making the host wait for work that was queued after them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class HostCopy:
    """Values on their way to the host."""

    values: Tensor
    arrived: torch.cuda.Event | None

    def read(self) -> list[float]:
        """Wait for the values, and for nothing that was queued after them."""
        if self.arrived is not None:
            self.arrived.synchronize()
        numbers: list[float] = self.values.tolist()
        return numbers


class HostReader:
    """Copies a few values from the device at a time, each time to the same pinned memory of the host.

    A copy to ordinary memory would make the host wait for the device at once. The next copy may only be
    started when the previous one was read.

    Args:
        num_values: Number of values of a copy.
        device: Device that computes them.
    """

    def __init__(self, num_values: int, device: torch.device) -> None:
        self._device = device
        self._is_async = device.type == "cuda"
        self._on_host = torch.empty(num_values, pin_memory=self._is_async)

    def start(self, values: Tensor) -> HostCopy:
        """Start to copy `[num_values]` float32."""
        self._on_host.copy_(values, non_blocking=True)
        arrived = None
        if self._is_async:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(torch.cuda.current_stream(self._device))
        return HostCopy(self._on_host, arrived)
