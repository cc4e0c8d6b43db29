"""Energy that a GPU has used, as its driver counts it.

NVML, NVIDIA's management library, counts the energy of a whole card since its driver was loaded, from the
generation Volta on. What other processes use on the same card meanwhile is counted too. It has no count for a
slice of a card (MIG), so the energy of a slice is unknown.
"""

from __future__ import annotations

from typing import Any

_MJ_PER_J = 1000


class EnergyMeter:
    """Measures the energy of one GPU from its construction on; the energy is unknown if no driver counts it.

    Args:
        uuid: UUID of the GPU, without the prefix `GPU-`; None for a device that is not a GPU.
        nvml: Module `pynvml`, or an object with its functions; None to import it.
    """

    def __init__(self, uuid: str | None, *, nvml: Any = None) -> None:
        self._nvml = nvml
        self._card: Any = None
        self._earlier_j: float | None = 0.0
        self._start_mj: int | None = None
        if uuid is not None and (nvml is not None or self._import()):
            self._open(uuid)

    def add_earlier(self, joules: float | None) -> None:
        """Count the energy that was used before the construction.

        Args:
            joules: That energy; None if it is unknown, and then the total is unknown too.
        """
        self._earlier_j = joules

    @property
    def total_j(self) -> float | None:
        """Energy so far in joules; None if it, or a part of it, is unknown."""
        now_mj = self._read_mj()
        if now_mj is None or self._start_mj is None or self._earlier_j is None:
            return None
        return self._earlier_j + (now_mj - self._start_mj) / _MJ_PER_J

    def _import(self) -> bool:
        try:
            import pynvml  # late: without a GPU it is not needed
        except ImportError:
            return False
        self._nvml = pynvml
        return True

    def _open(self, uuid: str) -> None:
        try:
            self._nvml.nvmlInit()
            self._card = self._nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        except self._nvml.NVMLError:
            return  # no driver of NVIDIA, or a slice, which has a UUID of its own
        if self._is_sliced():
            self._card = None
        self._start_mj = self._read_mj()

    def _is_sliced(self) -> bool:
        """Whether the card is divided into slices, which its count does not tell apart."""
        try:
            current, _ = self._nvml.nvmlDeviceGetMigMode(self._card)
        except self._nvml.NVMLError:
            return False  # a card that cannot be divided
        return bool(current == self._nvml.NVML_DEVICE_MIG_ENABLE)

    def _read_mj(self) -> int | None:
        if self._card is None:
            return None
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._card))
        except self._nvml.NVMLError:
            return None
