"""Energy of a training in its status, with a driver that a test plays."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.support.nvml import UUID, FakeNvml
from tests.support.training import Experiment, QuietDisplay, train_here
from vidcls.cli import app
from vidcls.process.signals import StoppedError
from vidcls.run.folder import Run

pytestmark = pytest.mark.decoded


class _Using(QuietDisplay):
    """Lets the card use 5 J in each epoch."""

    def __init__(self, driver: FakeNvml) -> None:
        super().__init__()
        self._driver = driver

    def epoch(self, loop: Any, row: Any, *, is_best: bool) -> None:
        assert self._driver.total_mj is not None
        self._driver.total_mj += 5000


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """A card is there, as far as its energy is concerned; the training computes on the CPU."""
    made = FakeNvml(total_mj=7_000_000)
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.setattr("vidcls.training.checkpoint_writer.gpu_uuid", lambda _device: UUID)
    return made


def energy(run: Run) -> float | None:
    status = run.status()
    assert status is not None
    return status.energy_j


def stop(epoch: int, _history: Sequence[Any]) -> str | None:
    return "enough for now"


def test_energy_is_added_up_over_resumes(experiment: Experiment, driver: FakeNvml, one_thread: None) -> None:
    spec = experiment.spec()
    with pytest.raises(StoppedError):
        train_here(spec, _Using(driver), stop_rule=stop)
    assert energy(experiment.run()) == 5
    assert driver.total_mj is not None
    driver.total_mj += 1_000_000  # used by others, before the training goes on
    assert energy(train_here(spec, _Using(driver))) == 15
    shown = CliRunner().invoke(app, ["runs", "show", str(experiment.run().folder), "--json"])
    assert json.loads(shown.stdout)["energy_j"] == 15


def test_energy_is_unknown_if_one_start_did_not_count_it(
    experiment: Experiment, driver: FakeNvml, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    spec = experiment.spec()
    driver.has_driver = False
    with pytest.raises(StoppedError):
        train_here(spec, _Using(driver), stop_rule=stop)
    driver.has_driver = True
    assert energy(train_here(spec, _Using(driver))) is None


def test_on_the_cpu_the_energy_is_null(experiment: Experiment, one_thread: None) -> None:
    run = train_here(experiment.spec(train__epochs=1))
    assert json.loads(run.status_file.read_text())["energy_j"] is None
    last = torch.load(run.checkpoint_file("last"), weights_only=True)
    assert last["training"]["energy_j"] is None


def test_the_status_of_an_earlier_version_is_read(experiment: Experiment, one_thread: None) -> None:
    run = train_here(experiment.spec(train__epochs=1))
    content = json.loads(run.status_file.read_text())
    del content["energy_j"]
    run.status_file.write_text(json.dumps(content))
    assert energy(run) is None
