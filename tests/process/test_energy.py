"""Energy of a GPU, by a driver that a test plays."""

from __future__ import annotations

import sys

import pytest

from tests.support.nvml import UUID, FakeNvml
from vidcls.process.energy import EnergyMeter


def test_joules_are_counted_from_the_construction_on() -> None:
    driver = FakeNvml(total_mj=7_000_000)
    meter = EnergyMeter(UUID, nvml=driver)
    assert meter.total_j == 0
    driver.total_mj = 7_002_500
    assert meter.total_j == 2.5


def test_what_was_used_before_is_added() -> None:
    driver = FakeNvml()
    meter = EnergyMeter(UUID, nvml=driver)
    meter.add_earlier(40.0)
    driver.total_mj = 2000
    assert meter.total_j == 42
    meter.add_earlier(None)
    assert meter.total_j is None, "a total without a part of it would be too small"


@pytest.mark.parametrize(
    ("driver", "uuid"),
    [
        pytest.param(FakeNvml(has_driver=False), UUID, id="no driver"),
        pytest.param(FakeNvml(total_mj=None), UUID, id="a card from before Volta"),
        pytest.param(FakeNvml(mig_mode=1), UUID, id="a card in slices"),
        pytest.param(FakeNvml(), "of-a-slice", id="a slice"),
    ],
)
def test_energy_that_nobody_counts_is_unknown(driver: FakeNvml, uuid: str) -> None:
    meter = EnergyMeter(uuid, nvml=driver)
    assert meter.total_j is None
    driver.total_mj = 5000
    assert meter.total_j is None


def test_a_card_that_could_be_divided_and_is_not_is_counted() -> None:
    assert EnergyMeter(UUID, nvml=FakeNvml(mig_mode=0)).total_j == 0


def test_a_driver_that_fails_later_ends_nothing() -> None:
    driver = FakeNvml()
    meter = EnergyMeter(UUID, nvml=driver)
    driver.total_mj = None
    assert meter.total_j is None


def test_without_a_gpu_no_driver_is_asked() -> None:
    driver = FakeNvml()
    assert EnergyMeter(None, nvml=driver).total_j is None
    assert driver.num_calls == 0


def test_without_the_package_the_energy_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert EnergyMeter(UUID).total_j is None
