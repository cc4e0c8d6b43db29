"""What every search method must do: points of the space, the same on every machine, whatever came back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.sweeps import assert_of_space
from vidcls.sweep.config.file import METHODS, SweepFile, load_sweep
from vidcls.sweep.search.bayes import NUM_RANDOM
from vidcls.sweep.search.build import open_searcher
from vidcls.sweep.search.searcher import Observation, Searcher

# Kinds of parameters that every method takes; a grid of all values of them is finite.
PARAMETERS: dict[str, Any] = {
    "optim.kind": {"values": ["adamw", "sgd"]},
    "clip.frames": {"min": 4, "max": 7},
    "augment.flip": {"value": 0.5},
    "model.dropout": {"values": [0.0, None, 0.5]},
}
CONTINUOUS: dict[str, Any] = {
    "optim.lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
    "augment.flip": {"min": 0.0, "max": 1.0},
}
STATES = ("running", "finished", "stopped", "failed")
NUM_GRID_POINTS = 2 * 4 * 3
VALUES = st.none() | st.floats(-1e300, 1e300) | st.sampled_from([0.0, -0.0, 1.0])

each = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


def sweep_file(folder: Path, method: str) -> SweepFile:
    path = folder / f"{method}.yaml"
    content = {
        "method": method,
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": PARAMETERS if method == "grid" else PARAMETERS | CONTINUOUS,
        "command": ["vidcls", "train", "spec.yaml", "${args}"],
    }
    path.write_text(yaml.safe_dump(content))
    return load_sweep(path)


def handed_out(searcher: Searcher, results: Sequence[tuple[str, float | None]]) -> list[Observation]:
    """A search whose configurations came to these ends."""
    seen: list[Observation] = []
    for number, (state, value) in enumerate(results):
        point = searcher.ask(number, seen)
        seen.append(Observation(number, point, state, value, latest=value))  # type: ignore[arg-type]
    return seen


@each
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    results=st.lists(
        st.tuples(st.sampled_from(STATES), VALUES), min_size=NUM_RANDOM + 3, max_size=NUM_GRID_POINTS
    ),
)
def test_every_point_is_of_the_space_and_the_same_elsewhere(
    method: str, seed: int, results: list[tuple[str, float | None]], folder: Path
) -> None:
    sweep = sweep_file(folder, method)
    seen = handed_out(open_searcher(sweep, seed=seed), results)
    for one in seen:
        assert_of_space(one.point, sweep.space)
        # The journal of a sweep is JSON, and what is read there must be what was drawn.
        assert json.loads(json.dumps(one.point)) == one.point
    elsewhere = open_searcher(sweep_file(folder, method), seed=seed)
    for number in (len(seen) - 1, 0, len(seen) // 2):
        before = [replace(one) for one in seen[:number]]
        assert elsewhere.ask(number, before) == seen[number].point
        assert before == seen[:number]


@each
def test_it_ends_where_it_says_and_repeats_nothing_before(method: str, folder: Path) -> None:
    searcher = open_searcher(sweep_file(folder, method), seed=3)
    end = searcher.num_configurations
    seen = handed_out(searcher, [("finished", float(i % 7)) for i in range(end or NUM_RANDOM + 10)])
    if end is None:
        assert searcher.ask(10_000, seen).keys() == seen[0].point.keys()
        return
    assert end == NUM_GRID_POINTS
    assert len({json.dumps(one.point, sort_keys=True) for one in seen}) == end
    with pytest.raises(ValueError, match=str(end)):
        searcher.ask(end, seen)


@each
def test_the_seed_decides_wherever_chance_does(method: str, folder: Path) -> None:
    sweep = sweep_file(folder, method)
    first, other = (handed_out(open_searcher(sweep, seed=s), [("failed", None)] * 5) for s in (1, 2))
    assert (first == other) == (open_searcher(sweep, seed=1).num_configurations is not None)
