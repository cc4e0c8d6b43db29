"""Time to make an item, and what an epoch takes with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from vidcls.data.doctor.draws import Sample
from vidcls.data.doctor.finding import DatasetFinding
from vidcls.process.cores import usable_cores

_SLOW_CPU_S = 0.5
_LONG_WAIT_S = 0.15
_PROBE_S = 0.02


def check_speed(samples: Sequence[Sample], *, num_train: int, slowdown: float) -> Iterator[DatasetFinding]:
    """Say how long an item takes, and find items that take long, by computing or by waiting.

    Waiting is time in which the processor did not compute for the item, less what other processes took from
    it at the same time; so a busy machine is not taken for a slow data set.

    Args:
        samples: Items of the training split.
        num_train: Number of training items.
        slowdown: Result of `slowdown_now` during the reading.
    """
    if not samples:
        return
    wall, cpu = (float(np.median([getattr(one, name) for one in samples])) for name in ("wall_s", "cpu_s"))
    waits = wall - 1.5 * max(slowdown, 1.0) * cpu
    workers = usable_cores()
    epoch = f"an epoch of {num_train} items takes {num_train * wall / workers:.3g} s with {workers} workers"
    cpu = min(cpu, wall)  # two clocks, and medians of two
    timed = f"an item takes {wall:.2g} s, {cpu:.2g} s of them computing (median of {len(samples)}); {epoch}"
    if waits > _LONG_WAIT_S and waits > 3 * cpu:
        yield DatasetFinding(
            "slow",
            f"{timed}: most of it is waiting, as for a slow disk or network",
            "copy the files to a local disk, open each once, or store what you read as one array",
        )
    elif cpu > _SLOW_CPU_S:
        yield DatasetFinding(
            "slow",
            f"{timed}: reading the files is what a training would wait for",
            "decode only the frames that a clip needs, at its size, or store them once",
        )
    else:
        yield DatasetFinding("note", timed)


def slowdown_now() -> float:
    """Factor by which other processes slow this one down at the moment; 1 on an idle machine."""
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < _PROBE_S:
        pass
    return (time.perf_counter() - wall) / _PROBE_S
