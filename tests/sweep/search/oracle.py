"""What W&B's own search code (PyPI `sweeps`) answers; runs in an environment of its own, which has no vidcls.

`python tests/sweep/search/oracle.py < questions.json > answers.json`
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any


def quantiles(parameters: dict[str, Any], us: list[float]) -> dict[str, list[Any]]:
    from sweeps.params import HyperParameter

    answers = {}
    for name, config in parameters.items():
        parameter = HyperParameter(name, config)
        answers[name] = [plain(parameter.ppf(u)) for u in us]
    return answers


def draws(parameters: dict[str, Any], num: int, seed: int) -> dict[str, list[Any]]:
    from sweeps.random_search import random_search_next_runs

    random.seed(seed)
    runs = random_search_next_runs({"method": "random", "parameters": parameters}, n=num)
    return {name: [plain(run.config[name]["value"]) for run in runs] for name in parameters}


def grid(parameters: dict[str, Any], num: int) -> list[dict[str, Any]]:
    from sweeps.grid_search import grid_search_next_runs

    runs = grid_search_next_runs([], {"method": "grid", "parameters": parameters}, n=num)
    return [{name: plain(run.config[name]["value"]) for name in parameters} for run in runs if run]


def stops(rule: dict[str, Any], goal: str, histories: list[list[float | None]]) -> list[bool]:
    """Whether each trial, all of them running, is stopped; None stands for a value that is not finite."""
    from sweeps.hyperband_stopping import hyperband_stop_runs
    from sweeps.run import RunState, SweepRun

    runs = [
        SweepRun(
            name=str(k),
            state=RunState.running,
            history=[{"m": float("nan") if value is None else value} for value in history],
        )
        for k, history in enumerate(histories)
    ]
    config = {
        "method": "random",
        "metric": {"name": "m", "goal": goal},
        "early_terminate": {"type": "hyperband", **rule},
    }
    stopped = {run.name for run in hyperband_stop_runs(runs, config)}
    return [run.name in stopped for run in runs]


def plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def main() -> None:
    answers = []
    for question in json.load(sys.stdin):
        ask = {"quantiles": quantiles, "draws": draws, "grid": grid, "stops": stops}[question.pop("ask")]
        answers.append(ask(**question))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
