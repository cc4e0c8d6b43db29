"""Chooses between numbers of threads beside other processes, by a short measurement.

With more threads, a process gets a larger share of busy cores; but threads that wait for each other at each
operator sleep, and may wake late. Which of the two counts more depends on the scheduler: beside two busy
processes on two cores, one thread was measured to train 1.4 times as fast as two with one kernel, and two
1.4 times as fast as one with another.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from vidcls.process.cores import free_cores, usable_cores

_ROUNDS = 7
_BUDGET_S = 3.0
"""Time after which no further round begins."""
_BATCH, _CHANNELS, _SIZE = 8, 32, 56


def free_threads(device: torch.device) -> int:
    """Number of threads of a training: all usable cores, or those that others leave free if that is faster.

    Args:
        device: Device that computes. Where it is not the CPU, there is nothing to measure.
    """
    free, usable = free_cores(), usable_cores()
    return free if free == usable or device.type != "cpu" else fastest_threads((free, usable))


def fastest_threads(numbers: Sequence[int]) -> int:
    """Number of threads with which steps of a small convolution are fastest now; the first of equal ones.

    The number of threads of this process is the same afterwards, and no random number is drawn.

    Args:
        numbers: Numbers to choose from.
    """
    before = torch.get_num_threads()
    times: dict[int, list[float]] = {number: [] for number in numbers}
    clip = torch.ones(_BATCH, _CHANNELS, _SIZE, _SIZE)
    weight = torch.full((_CHANNELS, _CHANNELS, 3, 3), 1e-3, requires_grad=True)
    try:
        started = time.monotonic()
        for _ in range(_ROUNDS):
            for number, its in times.items():
                torch.set_num_threads(number)
                _step(clip, weight)  # wakes the threads
                begun = time.monotonic()
                for _ in range(3):
                    _step(clip, weight)
                its.append(time.monotonic() - begun)
            if time.monotonic() - started > _BUDGET_S:
                break
    finally:
        torch.set_num_threads(before)
    return min(numbers, key=lambda number: statistics.median(times[number]))


def _step(clip: torch.Tensor, weight: torch.Tensor) -> None:
    """Forward and backward pass of a few operators, as those of a training step."""
    middle = torch.relu(torch.nn.functional.conv2d(clip, weight, padding=1))
    middle = middle - middle.mean(dim=(0, 2, 3), keepdim=True)
    torch.nn.functional.conv2d(middle, weight, padding=1).square().mean().backward()  # type: ignore[no-untyped-call]
    weight.grad = None
