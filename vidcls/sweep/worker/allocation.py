"""Allocation of a worker: the resources of its task, and when they end."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Allocation:
    """Resources of a worker.

    Attributes:
        job: Task in the queue; None outside of a queue.
        num_gpus: Number of GPUs that the worker uses exclusively.
        device: Name of the device; None for the best available.
        threads: CPU threads of each trial.
        ends_at: End of the allocation on this process's monotonic clock; None if it has no end.
    """

    job: str | None
    num_gpus: int
    device: str | None
    threads: int
    ends_at: float | None


def allocation_of(*, num_gpus: int, num_cpus: int | None, device: str | None, per_gpu: int) -> Allocation:
    """Allocation of this process, from its command line and the environment set by the queue's script."""
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
