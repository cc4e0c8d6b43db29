"""Progress of a training: position, speed, and the values of its steps on their way from the device."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Position:
    """Position of the next step: `step` counts from 0 within `epoch`, which counts from 0."""

    epoch: int = 0
    step: int = 0


@dataclass
class Speed:
    """Time spent in the parts of an epoch, in seconds; a resume does not have to reproduce it."""

    clips: int = 0
    total_s: float = 0.0
    waiting_s: float = 0.0

    @property
    def clips_per_s(self) -> float:
        """Training clips per second."""
        return self.clips / self.total_s if self.total_s else 0.0


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
        self._on_host = torch.empty(num_values, device="cpu", pin_memory=self._is_async)

    def start(self, values: Tensor) -> HostCopy:
        """Start to copy `[num_values]` float32."""
        self._on_host.copy_(values, non_blocking=True)
        arrived = None
        if self._is_async:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(torch.cuda.current_stream(self._device))
        return HostCopy(self._on_host, arrived)


@dataclass
class Sums:
    """Sums over the steps of the current epoch, on the device, so that no step waits for their values.

    Attributes:
        loss: Sum of the losses of all clips.
        correct: Number of correctly classified clips.
        overflows: Number of steps that the gradient scaler of fp16 left out.
        seen: Number of clips.
    """

    loss: Tensor
    correct: Tensor
    overflows: Tensor
    seen: int = 0

    @classmethod
    def zero(cls, device: torch.device) -> Sums:
        """Sums before the first step."""
        return cls(
            torch.zeros((), dtype=torch.float64, device=device),
            torch.zeros((), dtype=torch.int64, device=device),
            torch.zeros((), dtype=torch.int64, device=device),
        )

    def read(self) -> tuple[float, float, int]:
        """Mean loss, share of correct clips, and number of overflows; the host waits once for the device."""
        values = torch.stack([self.loss, self.correct.double(), self.overflows.double()]).cpu().tolist()
        loss, correct, overflows = values
        return loss / self.seen, correct / self.seen, int(overflows)


@dataclass
class Pending:
    """Loss and gradient norm of the last step, read one step later so that the device never idles."""

    loss_and_norm: HostCopy
    lr: float
    position: Position
    global_step: int
    ids: tuple[str, ...] = field(repr=False)
