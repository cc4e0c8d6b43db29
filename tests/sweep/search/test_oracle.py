"""Agreement with W&B's own search code, PyPI's `sweeps`.

It needs an old numpy, so it lives in an environment of its own, which the slow tests make once and pytest's cache
keeps. The fast ones check against `oracle.json`: its answers to the same questions, written by
`VIDCLS_RECORD_ORACLE=1 pytest -m slow tests/sweep/search/test_oracle.py`.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from scipy import stats

from vidcls.sweep.config.file import SweepFile, load_sweep
from vidcls.sweep.config.hyperband import Hyperband, should_stop
from vidcls.sweep.space.distributions import Categorical, Constant

HERE = Path(__file__).parent
RECORDING = HERE / "oracle.json"
PARAMETERS: dict[str, dict[str, Any]] = {
    "constant": {"value": 3},
    "categorical": {"values": ["a", "b", "c"]},
    "weighted": {"values": ["a", "b", "c"], "probabilities": [0.5, 0.2, 0.3]},
    "int_uniform": {"min": 2, "max": 9},
    "uniform": {"min": -1.5, "max": 2.0},
    "uniform_whole": {"distribution": "uniform", "min": 1, "max": 4},
    "q_uniform": {"distribution": "q_uniform", "min": 1, "max": 10, "q": 4},
    "q_uniform_fine": {"distribution": "q_uniform", "min": 0.0, "max": 0.5, "q": 0.1},
    "log_uniform": {"distribution": "log_uniform", "min": -9.0, "max": -2.0},
    "q_log_uniform": {"distribution": "q_log_uniform", "min": 0.0, "max": 3.0, "q": 2},
    "log_uniform_values": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.1},
    "q_log_uniform_values": {"distribution": "q_log_uniform_values", "min": 4, "max": 200, "q": 4},
    "inv_log_uniform": {"distribution": "inv_log_uniform", "min": 1.0, "max": 4.0},
    "inv_log_uniform_values": {"distribution": "inv_log_uniform_values", "min": 0.5, "max": 30.0},
    "normal": {"distribution": "normal", "mu": 3.0, "sigma": 0.5},
    "normal_default": {"distribution": "normal"},
    "q_normal": {"distribution": "q_normal", "mu": 10.0, "sigma": 5.0, "q": 2.5},
    "log_normal": {"distribution": "log_normal", "mu": -1.0, "sigma": 0.7},
    "q_log_normal": {"distribution": "q_log_normal", "mu": 2.0, "sigma": 0.7, "q": 1},
    "beta": {"distribution": "beta", "a": 2.0, "b": 5.0},
    "q_beta": {"distribution": "q_beta", "a": 2.0, "b": 2.0, "q": 0.25},
}
# No multiple of a simple fraction: at the very edge of a step, rounding alone decides.
US = [(k + 0.4567) / 50 for k in range(50)]
GRID = {
    "c": {"values": [1, 2, 3]},
    "a": {"min": 1, "max": 2},
    "b": {"distribution": "q_uniform", "min": 0, "max": 6, "q": 2},
    "d": {"value": "x"},
}
RULES: list[dict[str, Any]] = [
    {"min_iter": 1},
    {"min_iter": 2, "eta": 2},
    {"min_iter": 2, "eta": 2.5, "strict": False},
    {"max_iter": 27, "s": 2},
    {"max_iter": 16, "s": 3, "eta": 2, "strict": False},
]
KS_LEVEL = 1e-4  # of a false alarm in each of twenty comparisons, with fixed seeds


def questions() -> list[dict[str, Any]]:
    """What the recording answers."""
    asked: list[dict[str, Any]] = [
        {"ask": "quantiles", "parameters": PARAMETERS, "us": US},
        {"ask": "grid", "parameters": GRID, "num": 1000},
    ]
    for rule, goal, histories in situations():
        asked.append({"ask": "stops", "rule": rule, "goal": goal, "histories": histories})
    return asked


def situations() -> list[tuple[dict[str, Any], str, list[list[float | None]]]]:
    """Sweeps in mid-flight: trials of different length, with ties and a few values that are not finite."""
    chance = random.Random(0)
    found = []
    for rule in RULES:
        for goal in ("minimize", "maximize"):
            for num_trials in (1, 2, 7, 30):
                lengths = [chance.randrange(20) for _ in range(num_trials)]
                found.append((rule, goal, [[_value(chance) for _ in range(n)] for n in lengths]))
    return found


def _value(chance: random.Random) -> float | None:
    return None if chance.random() < 0.03 else chance.randrange(40) / 8


def sweep_of(tmp_path: Path, method: str, parameters: dict[str, Any]) -> SweepFile:
    command = ["${env}", "vidcls", "train", "spec.yaml", "${args}"]
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({"method": method, "parameters": parameters, "command": command}))
    return load_sweep(path)


@pytest.fixture(scope="module")
def recorded() -> list[Any]:
    return list(json.loads(RECORDING.read_text())["answers"])


def test_every_distribution_has_the_quantiles_of_wandb(tmp_path: Path, recorded: list[Any]) -> None:
    space = sweep_of(tmp_path, "random", PARAMETERS).space
    for name, theirs in recorded[0].items():
        ours = [space.parameters[name].value(u) for u in US]
        assert ours == (theirs if isinstance(theirs[0], str) else pytest.approx(theirs, rel=1e-9)), name


def test_a_grid_is_that_of_wandb_plus_the_maxima_that_it_loses(tmp_path: Path, recorded: list[Any]) -> None:
    space = sweep_of(tmp_path, "grid", GRID).space
    assert space.num_points is not None
    ours = [space.grid_point(i) for i in range(space.num_points)]
    assert len(ours) == 24
    assert [point for point in ours if point["b"] < 6] == recorded[1]


def test_early_stopping_decides_as_wandb_does(recorded: list[Any]) -> None:
    num_stopped = 0
    for (rule, goal, histories), theirs in zip(situations(), recorded[2:], strict=True):
        trials = [[math.nan if value is None else value for value in history] for history in histories]
        ours = [
            should_stop(own, [*trials[:k], *trials[k + 1 :]], section=Hyperband(**rule), goal=goal)
            for k, own in enumerate(trials)
        ]
        assert ours == theirs, (rule, goal)
        num_stopped += sum(ours)
    assert num_stopped > 50


@pytest.fixture(scope="module")
def oracle(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with `sweeps`, made once."""
    folder = Path(request.config.cache.mkdir("sweeps-oracle"))
    python = folder / "venv" / "bin" / "python"
    with FileLock(folder / "lock"):
        if not (folder / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder / "venv"], check=True)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            made = subprocess.run(
                [*pip, "sweeps==0.3.0", "numpy<2"], capture_output=True, text=True, check=False
            )
            if made.returncode:
                reason = " ".join(made.stderr.split())[-200:]
                pytest.skip(f"the package `sweeps` cannot be installed; pip needs its index: {reason}")
            (folder / "ready").touch()
    return python


def answers_of(oracle: Path, asked: list[dict[str, Any]]) -> list[Any]:
    result = subprocess.run(
        [oracle, HERE / "oracle.py"], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    return list(json.loads(result.stdout))


@pytest.mark.slow
def test_the_recording_is_what_the_oracle_says(oracle: Path) -> None:
    answers = answers_of(oracle, questions())
    if os.environ.get("VIDCLS_RECORD_ORACLE"):
        made_by = "VIDCLS_RECORD_ORACLE=1 pytest -m slow tests/sweep/search/test_oracle.py, with sweeps 0.3.0"
        RECORDING.write_text(json.dumps({"made_by": made_by, "answers": answers}) + "\n")
    assert rounded(RECORDING.read_text())["answers"] == rounded(json.dumps({"answers": answers}))["answers"]


def rounded(text: str) -> dict[str, Any]:
    """JSON whose numbers have twelve digits: the last ones of a logarithm depend on the processor."""
    content: dict[str, Any] = json.loads(text, parse_float=lambda number: float(f"{float(number):.12g}"))
    return content


@pytest.mark.slow
def test_draws_agree_with_those_of_wandb(oracle: Path, tmp_path: Path) -> None:
    num = 4000
    (theirs,) = answers_of(oracle, [{"ask": "draws", "parameters": PARAMETERS, "num": num, "seed": 1}])
    space = sweep_of(tmp_path, "random", PARAMETERS).space
    points = [space.random_point(1, i) for i in range(num)]
    for name, distribution in space.parameters.items():
        ours = [point[name] for point in points]
        if isinstance(distribution, Constant):
            assert ours == theirs[name]
        elif isinstance(distribution, Categorical):
            values = distribution.values
            table = [[draws.count(value) for value in values] for draws in (ours, theirs[name])]
            assert stats.chi2_contingency(table).pvalue > KS_LEVEL, name
        else:
            # Quantised values of both are first made the same decimals.
            pair = [[round(value, 12) for value in draws] for draws in (ours, theirs[name])]
            assert stats.ks_2samp(*pair).pvalue > KS_LEVEL, name
