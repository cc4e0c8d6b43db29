"""Where a worker runs: what its task was given, and until when."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Allocation:
    """Where a worker runs.

    Attributes:
        job: Task in the queue, None outside of one.
        num_gpus: GPUs that it has for itself.
        device: Name of the device, None for the best there is.
        threads: CPU threads of each trial.
        ends_at: When the allocation ends, on this process's monotonic clock; None if it does not.
    """

    job: str | None
    num_gpus: int
    device: str | None
    threads: int
    ends_at: float | None


def allocation_of(*, num_gpus: int, num_cpus: int | None, device: str | None, per_gpu: int) -> Allocation:
    """Where this process runs, from its command and the environment that the queue's script sets."""
    start, length = os.environ.get("VIDCLS_JOB_START"), os.environ.get("VIDCLS_JOB_TIME_S")
    ends_at = None
    if start and length:
        ends_at = time.monotonic() + float(start) + float(length) - time.time()
    cores = num_cpus or len(os.sched_getaffinity(0))
    return Allocation(
        job=os.environ.get("VIDCLS_JOB"),
        num_gpus=num_gpus,
        device=device,
        threads=max(1, cores // per_gpu),
        ends_at=ends_at,
    )
