"""How many cores are free, on this machine with processes that really compute."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.support.waiting import wait_for
from vidcls.process import cores

BUSY = "while True: pass"


@pytest.fixture
def neighbours() -> Iterator[list[psutil.Process]]:
    """One busy process for each core."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(cores.usable_cores())]
    yield [psutil.Process(process.pid) for process in started]
    for process in started:
        process.kill()
        process.wait()


def test_busy_neighbours_leave_one_core(neighbours: list[psutil.Process]) -> None:
    cores.watch_cores()
    begun = [sum(process.cpu_times()[:2]) for process in neighbours]

    def used_s() -> float:
        return sum(sum(p.cpu_times()[:2]) - at for p, at in zip(neighbours, begun, strict=True))

    wait_for(lambda: used_s() > len(neighbours), what="neighbours to compute for a second each")
    assert cores.free_cores() <= max(1, cores.usable_cores() // 2)


def test_own_work_is_not_that_of_others() -> None:
    cores.watch_cores()
    end = time.process_time() + 1
    while time.process_time() < end:
        pass
    assert 1 <= cores.free_cores() <= cores.usable_cores()


def test_without_a_look_at_the_start_all_cores_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_watched", None)
    assert cores.free_cores() == cores.usable_cores()
