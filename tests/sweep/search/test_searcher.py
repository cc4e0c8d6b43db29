"""Grid, random and Bayesian search through `open_searcher`."""

from __future__ import annotations

import hashlib
import logging
import math
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from tests.support.sweeps import assert_of_space
from tests.sweep.search.test_oracle import PARAMETERS
from vidcls.sweep.config.file import SweepFile, load_sweep
from vidcls.sweep.search.bayes import NUM_RANDOM
from vidcls.sweep.search.build import open_searcher
from vidcls.sweep.search.searcher import Observation, Searcher
from vidcls.sweep.space.distributions import Categorical, Constant, IntUniform
from vidcls.sweep.space.space import Point, Space

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


Results = Sequence[tuple[str, float | None]]


def asked_of_optuna(results: Results, seen: Sequence[Observation], space: Space, *, seed: int) -> Point:
    """Optuna's own answer, for the results that a search should have told it; `goal` is to minimise.

    A parameter is searched as the number in [0, 1] of its draw, or as what it is if it is discrete.
    """
    kinds: dict[str, BaseDistribution] = {}
    for name, distribution in space.searched.items():
        if isinstance(distribution, IntUniform):
            kinds[name] = IntDistribution(distribution.low, distribution.high)
        elif isinstance(distribution, Categorical) and distribution.probabilities is None:
            kinds[name] = CategoricalDistribution(range(len(distribution.values)))
        else:
            kinds[name] = FloatDistribution(0.0, 1.0)
    study = optuna.create_study(direction="minimize")
    study.add_trial(create_trial(state=TrialState.RUNNING))
    states = {"running": TrialState.RUNNING, "complete": TrialState.COMPLETE, "bad": TrialState.PRUNED}
    for (state, value), one in zip(results, seen, strict=True):
        told: dict[str, Any] = {}
        for name, distribution in space.searched.items():
            if isinstance(kinds[name], IntDistribution):
                told[name] = one.point[name]
            elif isinstance(distribution, Categorical) and isinstance(kinds[name], CategoricalDistribution):
                told[name] = distribution.values.index(one.point[name])
            else:
                assert not isinstance(distribution, Constant)
                told[name] = distribution.position(one.point[name])
        study.add_trial(create_trial(state=states[state], value=value, params=told, distributions=kinds))
    # The seed of each point: 32 bits of (seed of the search, number of the configuration).
    digest = hashlib.sha256(f"{seed}/{len(seen)}".encode()).hexdigest()
    sampler = TPESampler(seed=int(digest[:8], 16), n_startup_trials=0, constant_liar=True)
    drawn = sampler.sample_relative(study, study.get_trials()[0], kinds)
    point = {}
    for name, distribution in space.parameters.items():
        if isinstance(distribution, Constant):
            point[name] = distribution.constant
        elif isinstance(kinds[name], FloatDistribution):
            point[name] = distribution.value(drawn[name])
        elif isinstance(distribution, Categorical):
            point[name] = distribution.values[drawn[name]]
        else:
            point[name] = drawn[name]
    return point


def assert_alike(point: Point, other: Point) -> None:
    """The same point but for rounding, the keys in the same order."""
    assert list(point) == list(other)
    for name, value in point.items():
        same = value if isinstance(value, str) else pytest.approx(value, rel=1e-9)
        assert other[name] == same, name
        assert type(other[name]) is type(value), name


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_bayes_is_optunas_search_over_all_distributions(make: Make, goal: str) -> None:
    sweep = make("bayes", PARAMETERS, goal=goal)
    searcher = open_searcher(sweep, seed=8)
    chance = random.Random(0)
    sign = 1.0 if goal == "minimize" else -1.0
    seen = search(searcher, lambda point: sign * chance.random(), num=NUM_RANDOM)
    for number in range(NUM_RANDOM, NUM_RANDOM + 4):
        results = [("complete", sign * (one.value or 0.0)) for one in seen]
        point = searcher.ask(number, seen)
        assert_alike(point, asked_of_optuna(results, seen, sweep.space, seed=8))
        seen.append(Observation(number, point, "finished", sign * chance.random()))


@pytest.mark.parametrize(
    ("metric", "state", "value", "latest", "told"),
    [
        ({}, "finished", -1.0, 9.0, ("complete", -1.0)),
        ({}, "stopped", -1.0, 9.0, ("complete", -1.0)),
        ({}, "finished", None, -1.0, ("bad", None)),
        ({}, "finished", -math.inf, -1.0, ("bad", None)),
        ({}, "running", -1.0, -1.0, ("running", None)),
        ({}, "failed", -1.0, -1.0, ("bad", None)),
        ({"impute": "best"}, "failed", -1.0, 9.0, ("complete", -1.0)),
        ({"impute": "best"}, "failed", None, -1.0, ("bad", None)),
        ({"impute": "best"}, "failed", math.nan, -1.0, ("bad", None)),
        ({"impute": "best"}, "finished", -1.0, 9.0, ("complete", -1.0)),
        ({"impute": "best"}, "running", -1.0, -1.0, ("running", None)),
        ({"impute": "latest"}, "failed", 9.0, -1.0, ("complete", -1.0)),
        ({"impute": "latest"}, "failed", -1.0, None, ("bad", None)),
        ({"impute": "latest"}, "failed", -1.0, math.nan, ("bad", None)),
        ({"impute": "latest"}, "stopped", -1.0, 9.0, ("complete", -1.0)),
        ({"impute_while_running": "worst"}, "running", -1.0, 9.0, ("complete", -1.0)),
        ({"impute_while_running": "latest"}, "running", -1.0, 9.0, ("complete", -1.0)),
        ({"impute_while_running": "best"}, "running", None, -1.0, ("bad", None)),
    ],
)
def test_what_a_configuration_counts_as(
    make: Make,
    metric: dict[str, str],
    state: Literal["running", "finished", "stopped", "failed"],
    value: float | None,
    latest: float | None,
    told: tuple[str, float | None],
) -> None:
    """Told from its effect: the best counts as good, and one that has ended makes another one of 21 good."""
    sweep = make("bayes", BOWL, **metric)
    seen = search(open_searcher(make("random", BOWL), seed=6), lambda point: 1 + bowl(point), num=20)
    results: list[tuple[str, float | None]] = [("complete", one.value) for one in seen]
    point = {"x": -4.5, "y": 0.002}
    now = [*seen, Observation(20, point, state, value, latest)]
    kinds: Results = [("running", None), ("bad", None), ("complete", -1.0), ("complete", 9.0)]
    answers = {kind: asked_of_optuna([*results, kind], now, sweep.space, seed=0) for kind in kinds}
    assert len({answer["x"] for answer in answers.values()}) == 3, "the worst is as good as bad"
    found = open_searcher(sweep, seed=0).ask(21, now)
    assert_alike(found, answers[told])


def test_configurations_without_a_value_do_not_begin_the_bayesian_search(make: Make) -> None:
    sweep, other = make("bayes", BOWL), make("random", BOWL)
    seen = search(open_searcher(other, seed=1), bowl, num=NUM_RANDOM - 1)
    begun: list[tuple[Literal["running", "finished", "stopped", "failed"], float | None, bool]] = [
        ("running", 0.5, False),
        ("failed", 0.5, False),
        ("finished", None, False),
        ("stopped", 0.5, True),
        ("finished", 0.0, True),
        ("finished", math.inf, True),
    ]
    for state, value, is_bayesian in begun:
        now = [*seen, Observation(NUM_RANDOM - 1, {"x": 0.0, "y": 1.0}, state, value)]
        drawn = open_searcher(other, seed=1).ask(NUM_RANDOM, now)
        assert (open_searcher(sweep, seed=1).ask(NUM_RANDOM, now) != drawn) == is_bayesian, state


def test_a_search_that_only_grows_keeps_what_it_knows(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its time would grow with the square of the number of configurations."""
    made: list[optuna.Study] = []
    create = optuna.create_study

    def count(**options: Any) -> optuna.Study:
        made.append(create(**options))
        return made[-1]

    monkeypatch.setattr(optuna, "create_study", count)
    now = [*states(40)[:30], *(replace(one, state="running", value=None) for one in states(40)[30:])]
    steps = [list(now)]
    # What ends is better than all before, worse, or bad.
    ends = [(38, -1.0), (30, None), (34, -3.0), (31, 99.0), (39, -2.0), (32, None), (33, 98.0), (36, -4.0)]
    for number, value in ends:
        now[number] = replace(now[number], state="failed" if value is None else "finished", value=value)
        steps.append(list(now))
        now.append(Observation(len(now), {"x": number / 10, "y": 0.5}, "running", None))
        steps.append(list(now))
    sweep = make("bayes", BOWL)
    grown = open_searcher(sweep, seed=3)
    answers = [grown.ask(len(seen), seen) for seen in [*steps, steps[-1]]]
    assert len(made) == 1
    fresh = [open_searcher(sweep, seed=3).ask(len(seen), seen) for seen in [*steps, steps[-1]]]
    assert answers == fresh
    assert len(made) == 1 + len(fresh)


@pytest.mark.parametrize("change", ["all values", "all points", "one point", "one less", "many less"])
def test_what_changes_afterwards_is_searched_anew(make: Make, change: str) -> None:
    """As when paused trials went on, or the file of a trial was damaged and restored."""
    sweep = make("bayes", BOWL)
    seen = search(open_searcher(make("random", BOWL), seed=6), lambda point: 0.5, num=21)
    others = search(open_searcher(make("random", BOWL), seed=7), bowl, num=21)
    before, after = {
        "all values": (seen, [replace(one, value=bowl(one.point)) for one in seen]),
        "all points": (seen, [replace(one, point=two.point) for one, two in zip(seen, others, strict=True)]),
        "one point": (seen, [replace(seen[0], point={"x": -4.5, "y": 0.002}), *seen[1:]]),
        "one less": (others, others[:-1]),
        "many less": (others, others[:NUM_RANDOM]),
    }[change]
    searcher, fresh = open_searcher(sweep, seed=2), open_searcher(sweep, seed=2)
    assert searcher.ask(30, before) != fresh.ask(30, after)
    assert searcher.ask(30, after) == fresh.ask(30, after)


def test_the_very_end_of_an_interval_is_a_value(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna's interval includes 1; the normal distribution, for one, has no value there."""

    def draw_ends(sampler: TPESampler, study: object, trial: object, space: dict[str, Any]) -> dict[str, Any]:
        return {
            name: kind.choices[-1] if isinstance(kind, CategoricalDistribution) else kind.high
            for name, kind in space.items()
        }

    monkeypatch.setattr(TPESampler, "sample_relative", draw_ends)
    sweep = make("bayes", PARAMETERS)
    seen = search(open_searcher(sweep, seed=0), lambda point: 0.5, num=NUM_RANDOM)
    point = open_searcher(sweep, seed=0).ask(NUM_RANDOM, seen)
    assert_of_space(point, sweep.space)
    for name, distribution in sweep.space.parameters.items():
        assert point[name] == distribution.value(1 - 2**-53), name


def test_a_bayesian_search_is_quiet_and_leaves_optunas_messages_as_they_are(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    seen = search(open_searcher(make("random", BOWL), seed=1), bowl, num=NUM_RANDOM)
    before, logger = optuna.logging.get_verbosity(), logging.getLogger("optuna")
    logger.addHandler(caplog.handler)
    try:
        for level in (optuna.logging.DEBUG, optuna.logging.ERROR):
            optuna.logging.set_verbosity(level)
            open_searcher(make("bayes", BOWL), seed=1).ask(NUM_RANDOM, seen)
            assert optuna.logging.get_verbosity() == level
        assert caplog.messages == []
        optuna.logging.set_verbosity(optuna.logging.INFO)
        optuna.create_study()
        assert len(caplog.messages) == 1
    finally:
        optuna.logging.set_verbosity(before)
        logger.removeHandler(caplog.handler)


def test_a_search_imports_neither_torch_nor_optuna_before_it_is_bayesian() -> None:
    code = (
        "import sys, vidcls.sweep.search.searcher, vidcls.sweep.config.check, vidcls.sweep.search.asha;"
        "print([m for m in ('torch', 'optuna', 'wandb', 'scipy', 'sklearn', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
