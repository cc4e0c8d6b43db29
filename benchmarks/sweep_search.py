"""Bayesian against random search at equal trials, through the whole folder of a sweep, on standard functions.

A trial is taken from the folder, its value computed instead of trained, its end published; four trials run at
a time, as with four workers. The repeats of both methods share their seeds, and with them their first random
points, so their best values are compared in pairs. Nothing is promised: the table says what came out.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np

from benchmarks.common import Result, empty_sweep, finish, fresh
from vidcls.process.cores import usable_cores
from vidcls.statistics.estimate import LEVEL, Estimate
from vidcls.sweep.search.scheduler import Scheduler
from vidcls.sweep.storage.folder import SweepOptions

NUM_TRIALS, NUM_REPEATS, NUM_RUNNING = 40, 20, 4

# Hartmann's, Dixon and Szego 1978 (Towards Global Optimisation 2).
_HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN_SCALES = np.array(
    [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
)
_HARTMANN_CENTRES = np.array(
    [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ]
)


@dataclass(frozen=True)
class Problem:
    """A function to minimise.

    Attributes:
        name: Of the function.
        parameters: As a sweep file has them.
        value: Of a point.
    """

    name: str
    parameters: Mapping[str, Any]
    value: Callable[[Mapping[str, Any]], float]


def branin(point: Mapping[str, Any]) -> float:
    """Branin's function of two numbers; its minimum is 0.398."""
    x, y = point["x"], point["y"]
    bowl = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def hartmann(point: Mapping[str, Any]) -> float:
    """Hartmann's function of six numbers; its minimum is -3.322."""
    x = np.array([point[f"x{k}"] for k in range(6)])
    distances = (_HARTMANN_SCALES * (x - _HARTMANN_CENTRES) ** 2).sum(axis=1)
    return float(-(_HARTMANN_WEIGHTS * np.exp(-distances)).sum())


def rosenbrock(point: Mapping[str, Any]) -> float:
    """Rosenbrock's valley in two numbers and two whole numbers, as a logarithm; its minimum is 0."""
    x = [point["n0"], point["x0"], point["n1"], point["x1"]]
    valley = sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))
    return math.log1p(valley)


def mixture(point: Mapping[str, Any]) -> float:
    """Two categories choose what is added, after func2C of Ru et al. 2020 (arXiv:1906.08878)."""
    x, y = 2 * point["x"], 2 * point["y"]
    terms = {
        "rosenbrock": (100 * (y - x**2) ** 2 + (1 - x) ** 2) / 300,
        "camel": ((4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (4 * y**2 - 4) * y**2) / 10,
        "beale": ((1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2) / 50,
    }
    return float(terms[point["first"]] + terms[point["second"]])


def _between(low: float, high: float) -> dict[str, float]:
    return {"min": low, "max": high}


PROBLEMS = (
    Problem("Branin, 2 numbers", {"x": _between(-5.0, 10.0), "y": _between(0.0, 15.0)}, branin),
    Problem("Hartmann, 6 numbers", {f"x{k}": _between(0.0, 1.0) for k in range(6)}, hartmann),
    Problem(
        "Rosenbrock, 2 numbers, 2 whole ones",
        {
            **{f"x{k}": _between(-2.0, 2.0) for k in range(2)},
            **{f"n{k}": {"distribution": "int_uniform", "min": -3, "max": 3} for k in range(2)},
        },
        rosenbrock,
    ),
    Problem(
        "func2C, 2 numbers, 2 categories",
        {
            **{name: _between(-1.0, 1.0) for name in "xy"},
            **{name: {"values": ["rosenbrock", "camel", "beale"]} for name in ("first", "second")},
        },
        mixture,
    ),
)


def run() -> list[Result]:
    """Measure."""
    folder = fresh("sweep_search")
    jobs = [
        (folder / f"{index}-{method}-{seed}", index, method, seed)
        for index in range(len(PROBLEMS))
        for method in ("bayes", "random")
        for seed in range(NUM_REPEATS)
    ]
    with ProcessPoolExecutor(usable_cores(), mp_context=get_context("spawn")) as pool:
        found = dict(
            zip([job[1:] for job in jobs], pool.map(best_value, *zip(*jobs, strict=True)), strict=True)
        )
    results = []
    for index, problem in enumerate(PROBLEMS):
        bayes, chance = (
            [found[index, method, seed] for seed in range(NUM_REPEATS)] for method in ("bayes", "random")
        )
        results.append(_result(problem, bayes, chance))
    return results


def best_value(folder: Path, index: int, method: str, seed: int) -> float:
    """Search to the end, in a folder of its own; the least value found."""
    problem = PROBLEMS[index]
    folder.mkdir()
    sweep = empty_sweep(
        folder,
        method=method,
        parameters=problem.parameters,
        goal="minimize",
        options=SweepOptions(seed=seed),
        run_cap=NUM_TRIALS,
    )
    scheduler = Scheduler(
        sweep, worker="worker", is_dead=lambda _worker: False, epoch_of=lambda _worker, _trial: None
    )
    running: deque[Any] = deque()
    while True:
        busy = {trial.number for trial, _ in running}
        taken = scheduler.take(busy) if len(running) < NUM_RUNNING else None
        if taken is not None:
            running.append(taken)
        elif running:
            trial, lease = running.popleft()
            value = problem.value(trial.point)
            assert scheduler.trials.end(lease, "finished", epoch=1, value=value, latest=value)
        else:
            break
    values = [trial.value for trial in scheduler.trials.refresh() if trial.value is not None]
    assert len(values) == NUM_TRIALS
    return min(values)


def _result(problem: Problem, bayes: Sequence[float], chance: Sequence[float]) -> Result:
    gains = [b - a for a, b in zip(bayes, chance, strict=True)]
    gain = Estimate(fmean(gains), stdev(gains) / math.sqrt(len(gains)), len(gains) - 1)
    verdict = "better" if gain.low > 0 else "worse" if gain.high < 0 else "no difference seen"
    return Result(
        f"bayes against random, {problem.name}",
        f"{gain.value:+.3f} lower ({gain.low:+.3f} to {gain.high:+.3f}, {LEVEL:.0%}): {verdict}",
        "reported whatever it is",
        True,
        f"best of {NUM_TRIALS} trials, {NUM_RUNNING} at a time, {len(gains)} pairs;"
        f" medians {median(bayes):.3f} and {median(chance):.3f}",
    )


if __name__ == "__main__":
    sys.exit(finish(run()))
