"""Numerical precision: the value of `auto` on a device, and how a step is computed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn

from vidcls.choices import Precision
from vidcls.spec.sections import TrainSection

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(section: TrainSection, device: torch.device) -> Precision:
    """Precision to use on a device; resolves `auto`."""
    if section.precision == "auto":
        if device.type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return "bf16" if _cpu_has_bf16() else "fp32"
    return section.precision


def _cpu_has_bf16() -> bool:
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16"))


class Amp:
    """Automatic mixed precision of one training: autocast, and a gradient scaler under fp16 only."""

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self._device = device
        self._dtype = _DTYPES.get(precision)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def autocast(self) -> AbstractContextManager[object]:
        """Context for the forward pass and the loss."""
        return torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype is not None)

    def step(
        self,
        loss: torch.Tensor,
        optimizer: torch.optim.Optimizer,
        *,
        params: Sequence[nn.Parameter],
        clip_norm: float | None,
    ) -> torch.Tensor:
        """Run the backward pass, clip the gradient, and update the weights.

        Returns:
            Norm of the whole gradient before clipping, on the device.
        """
        optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(params, clip_norm or float("inf"))
        self.scaler.step(optimizer)
        self.scaler.update()
        return norm
