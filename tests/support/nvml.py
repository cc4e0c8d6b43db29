"""Stands in for `pynvml`: a card whose counter a test moves."""

from __future__ import annotations

UUID = "8f6d1a2e-0000-4000-8000-000000000001"


class FakeNvml:
    """The functions of `pynvml` that are used, for one card.

    Attributes:
        total_mj: The counter of the card; None if it has none.
        mig_mode: Whether the card is divided into slices; None if it cannot be.
        has_driver: Whether there is a driver at all.
        num_calls: How often the driver was asked.
    """

    class NVMLError(Exception):
        """What all functions raise."""

    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(
        self, *, total_mj: int | None = 0, mig_mode: int | None = None, has_driver: bool = True
    ) -> None:
        self.total_mj = total_mj
        self.mig_mode = mig_mode
        self.has_driver = has_driver
        self.num_calls = 0

    def nvmlInit(self) -> None:  # noqa: N802  (NVML's name, as those that follow)
        self.num_calls += 1
        if not self.has_driver:
            raise self.NVMLError("NVML Shared Library Not Found")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.num_calls += 1
        if uuid != f"GPU-{UUID}":
            raise self.NVMLError("Not Found")
        return "card"

    def nvmlDeviceGetMigMode(self, card: str) -> list[int]:  # noqa: N802
        assert card == "card"
        if self.mig_mode is None:
            raise self.NVMLError("Not Supported")
        return [self.mig_mode, self.mig_mode]

    def nvmlDeviceGetTotalEnergyConsumption(self, card: str) -> int:  # noqa: N802
        assert card == "card"
        if self.total_mj is None:
            raise self.NVMLError("Not Supported")
        return self.total_mj
