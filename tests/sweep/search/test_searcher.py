"""Grid, random and Bayesian search through `open_searcher`."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.sweeps import assert_of_space
from tests.sweep.search.test_oracle import PARAMETERS
from vidcls.sweep.config.file import SweepFile, load_sweep
from vidcls.sweep.search.bayes import NUM_RANDOM
from vidcls.sweep.search.build import open_searcher
from vidcls.sweep.search.searcher import Observation, Searcher
from vidcls.sweep.space.space import Point

BOWL = {"x": {"min": -5.0, "max": 5.0}, "y": {"distribution": "log_uniform_values", "min": 0.001, "max": 10}}
Make = Callable[..., SweepFile]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(method: str, parameters: dict[str, Any], **metric: Any) -> SweepFile:
        content = {
            "method": method,
            "metric": {"name": "val/loss", "goal": "minimize", **metric},
            "parameters": parameters,
            "command": ["vidcls", "train", "spec.yaml", "${args}"],
        }
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(content))
        return load_sweep(path)

    return make


def bowl(point: Point) -> float:
    return float((point["x"] - 2) ** 2 + math.log10(point["y"]) ** 2)


def search(searcher: Searcher, loss: Callable[[Point], float], *, num: int) -> list[Observation]:
    seen: list[Observation] = []
    for number in range(num):
        point = searcher.ask(number, seen)
        seen.append(Observation(number, point, "finished", loss(point)))
    return seen


def test_a_grid_gives_every_point_once_and_then_no_more(make: Make) -> None:
    searcher = open_searcher(make("grid", {"a": {"values": [1, 2]}, "b": {"min": 0, "max": 2}}), seed=0)
    assert searcher.num_configurations == 6
    points = [searcher.ask(i, []) for i in range(6)]
    assert [(point["a"], point["b"]) for point in points] == [(a, b) for a in (1, 2) for b in (0, 1, 2)]
    with pytest.raises(ValueError, match="6 points"):
        searcher.ask(6, [])


def test_random_search_is_a_function_of_seed_and_number(make: Make) -> None:
    sweep = make("random", PARAMETERS)
    first, other = open_searcher(sweep, seed=1), open_searcher(sweep, seed=2)
    assert first.num_configurations is None
    assert [first.ask(i, []) for i in (3, 1)] == [open_searcher(sweep, seed=1).ask(i, []) for i in (3, 1)]
    assert first.ask(0, []) != other.ask(0, [])


def test_bayes_takes_every_distribution(make: Make) -> None:
    sweep = make("bayes", PARAMETERS)
    chance = random.Random(0)
    seen = search(open_searcher(sweep, seed=0), lambda point: chance.random(), num=NUM_RANDOM + 6)
    for one in seen[NUM_RANDOM:]:
        assert_of_space(one.point, sweep.space)


def test_bayes_starts_as_random_does(make: Make) -> None:
    bayes, draws = (open_searcher(make(method, BOWL), seed=5) for method in ("bayes", "random"))
    ours = search(bayes, bowl, num=NUM_RANDOM + 1)
    theirs = search(draws, bowl, num=NUM_RANDOM + 1)
    assert ours[:-1] == theirs[:-1]
    assert ours[-1] != theirs[-1]


def test_bayes_finds_more_than_random_does(make: Make) -> None:
    best = {}
    for method in ("bayes", "random"):
        found = [search(open_searcher(make(method, BOWL), seed=s), bowl, num=50) for s in range(5)]
        best[method] = [min(one.value or 0.0 for one in seen) for seen in found]
    assert sum(best["bayes"]) < sum(best["random"]) / 2


def test_bayes_follows_the_goal(make: Make) -> None:
    searcher = open_searcher(make("bayes", BOWL, goal="maximize"), seed=0)
    seen = search(searcher, lambda point: -bowl(point), num=60)
    assert max(one.value or -99.0 for one in seen) > -0.2


def states(num: int) -> Sequence[Observation]:
    """Results of every kind, over the bowl."""
    chance = random.Random(1)
    found = []
    for number in range(num):
        point = {"x": round(chance.uniform(-5, 5), 3), "y": round(chance.uniform(0.001, 10), 3)}
        state = chance.choice(["finished", "finished", "stopped", "failed", "running"])
        value = bowl(point) if state in {"finished", "stopped"} or chance.random() < 0.5 else None
        found.append(Observation(number, point, state, value, latest=value))
    return found


@pytest.mark.parametrize(
    "metric",
    [
        {},
        {"impute": "best"},
        {"impute": "latest", "impute_while_running": "latest"},
        {"impute_while_running": "worst"},
    ],
)
def test_bayes_depends_on_what_was_seen_and_not_on_how_it_came(make: Make, metric: dict[str, str]) -> None:
    sweep = make("bayes", BOWL, **metric)
    final = states(40)
    grown = open_searcher(sweep, seed=3)
    chance = random.Random(2)
    open_ones = set(range(40))
    while open_ones:
        ended = chance.sample(sorted(open_ones), min(4, len(open_ones)))
        open_ones -= set(ended)
        now = [replace(one, state="running", value=None) if one.number in open_ones else one for one in final]
        last = max(ended, default=0)
        grown.ask(40, now)
        grown.ask(last + 1, now[: last + 1])
    fresh = open_searcher(sweep, seed=3)
    assert grown.ask(40, final) == fresh.ask(40, final)
    assert fresh.ask(40, final) != fresh.ask(41, final)


def test_a_retried_configuration_is_taken_back(make: Make) -> None:
    sweep = make("bayes", BOWL)
    seen = list(states(40))
    failed = next(k for k, one in enumerate(seen) if one.state == "failed")
    searcher = open_searcher(sweep, seed=0)
    searcher.ask(40, seen)
    seen[failed] = replace(seen[failed], state="running", value=None)
    assert searcher.ask(40, seen) == open_searcher(sweep, seed=0).ask(40, seen)


def test_points_asked_at_once_differ_although_nothing_ended_between_them(make: Make) -> None:
    searcher = open_searcher(make("bayes", BOWL), seed=0)
    seen = search(searcher, bowl, num=30)
    for number in range(30, 46):
        seen.append(Observation(number, searcher.ask(number, seen), "running", None))
    running = {tuple(one.point.values()) for one in seen[30:]}
    assert len(running) == 16


def test_running_configurations_count(make: Make) -> None:
    searcher = open_searcher(make("bayes", BOWL), seed=0)
    seen = search(searcher, bowl, num=30)
    alone = searcher.ask(40, seen)
    seen += [Observation(number, alone, "running", None) for number in range(30, 40)]
    assert abs(searcher.ask(40, seen)["x"] - alone["x"]) > 0.1


def test_failures_keep_the_search_away(make: Make) -> None:
    """All that fails lies at x > 0, where the loss would be best."""
    searcher = open_searcher(make("bayes", BOWL), seed=0)
    seen: list[Observation] = []
    for number in range(60):
        point = searcher.ask(number, seen)
        failed = point["x"] > 0
        seen.append(
            Observation(number, point, "failed" if failed else "finished", None if failed else bowl(point))
        )
    assert sum(one.state == "failed" for one in seen[30:]) < 12


def test_values_that_are_not_finite_count_as_bad(make: Make) -> None:
    seen = search(open_searcher(make("bayes", BOWL), seed=0), bowl, num=30)
    diverged = [replace(one, value=math.nan) if one.number % 7 == 0 else one for one in seen]
    failed = [replace(one, state="failed", value=None) if one.number % 7 == 0 else one for one in seen]
    asked = [open_searcher(make("bayes", BOWL), seed=0).ask(40, found) for found in (diverged, failed)]
    assert asked[0] == asked[1]


def test_a_search_imports_neither_torch_nor_optuna_before_it_is_bayesian() -> None:
    code = (
        "import sys, vidcls.sweep.search.searcher, vidcls.sweep.config.check, vidcls.sweep.search.asha;"
        "print([m for m in ('torch', 'optuna', 'wandb', 'scipy', 'sklearn', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
