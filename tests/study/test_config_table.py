"""`vidcls runs ls --by config`: a row for each configuration, from stored logits, with nothing left unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.scored import make_run, store_logits
from vidcls.cli import app
from vidcls.run.folder import Run
from vidcls.run.shapes import RunState, Status
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.jackknife import jackknife_of_means

LABELS = np.arange(60) % 3
GROUPS = [f"g{number % 12}" for number in range(60)]


def ls(*args: object) -> Result:
    result = CliRunner().invoke(app, ["runs", "ls", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def rows_of(*args: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ls(*args, "--by", "config", "--json").stdout)
    return found


def finished(run: Run) -> Run:
    run.write_status(Status("finished", 9, 9, best_epoch=1))
    return run


def scored(folder: Path, right: np.ndarray, groups: list[str] = GROUPS, **settings: Any) -> Run:
    """A finished run that is right where asked, and takes the next class for the true one elsewhere."""
    run = finished(make_run(folder, **settings))
    store_logits(run, np.eye(3)[np.where(right, LABELS, (LABELS + 1) % 3)], LABELS.tolist(), groups=groups)
    return run


@pytest.fixture
def right() -> np.ndarray:
    """Which of the 60 videos each of four runs gets right, `[4, 60]`."""
    return np.random.default_rng(0).random((4, 60)) < np.array([[0.7], [0.6], [0.8], [0.5]])


@pytest.fixture
def folder(tmp_path: Path, right: np.ndarray) -> Path:
    """Three seeds of one configuration, one of another, and a run without logits."""
    for seed in range(3):
        scored(tmp_path, right[seed], name="a", seed=seed)
    scored(tmp_path, right[3], name="b", key="f" * 12, optim={"lr": 0.5})
    make_run(tmp_path, name="c", key="c" * 12)
    return tmp_path / "runs"


def test_intervals_are_those_of_compare(tmp_path: Path) -> None:
    """They end at 0 and 1, and there is none where nothing varied."""
    few = np.random.default_rng(0).random((2, 60)) < np.array([[0.9], [0.97]])
    for seed in range(2):
        scored(tmp_path, few[seed], name="a", seed=seed)
    scored(tmp_path, np.ones(60, dtype=bool), name="b", key="f" * 12)
    compared = json.loads(CliRunner().invoke(app, ["compare", str(tmp_path / "runs"), "--json"]).stdout)
    rows = rows_of(tmp_path / "runs")
    for row, other in zip(rows, compared["configurations"], strict=True):
        assert (row["low"], row["high"]) == (other["top1"]["low"], other["top1"]["high"])
    assert rows[0]["high"] == 1
    assert rows[1]["low"] is None
    assert "nothing varied" in ls(tmp_path / "runs", "--by", "config").stdout


def test_the_numbers_are_those_of_the_estimator(folder: Path, right: np.ndarray) -> None:
    a, b = rows_of(folder)
    values = right.astype(float)
    for row, members in ((a, values[:3]), (b, values[3:])):
        expected = CrossedEffects.of(jackknife_of_means(members, GROUPS), [0] * len(members)).mean(0)
        assert row["val_top1"] == pytest.approx(members.mean())
        assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert (a["configuration"], a["fingerprint"], a["seeds"], a["num_seeds"]) == (
        "a",
        "0123456789ab",
        [0, 1, 2],
        3,
    )
    assert (a["num_videos"], a["num_groups"], a["leak_state"]) == (60, 12, "unknown")
    assert (a["one_checkpoint_only"], b["one_checkpoint_only"]) == (False, True)


def test_the_table_has_the_numbers_of_json_and_says_what_one_seed_means(folder: Path) -> None:
    done = ls(folder, "--by", "config")
    lines = done.stdout.splitlines()
    for row, line in zip(rows_of(folder), lines[1:], strict=False):
        mark = " *" if row["one_checkpoint_only"] else ""
        assert f"{row['val_top1']:.1%}" in line
        assert f"{row['low']:.1%} to {row['high']:.1%}{mark} " in line
    assert "chosen on val" in done.stdout
    assert "* one seed: the interval is about this checkpoint only" in done.stdout
    left = f"{folder / 'c'}/{'c' * 12}-s0: left out: no stored val predictions of its best checkpoint: new"
    assert left in done.stderr.splitlines()
    assert "one seed" not in ls(folder / "a", "--by", "config").stdout


def test_a_single_group_has_no_interval_and_unknown_groups_are_called_so(
    tmp_path: Path, right: np.ndarray
) -> None:
    scored(tmp_path, right[0], name="a", groups=["one"] * 60)
    scored(tmp_path, right[0], name="b", key="b" * 12, groups=[""] * 60)
    one, unknown = rows_of(tmp_path / "runs")
    assert (one["low"], one["high"], one["num_groups"]) == (None, None, 1)
    assert unknown["num_groups"] is None
    assert unknown["low"] < unknown["val_top1"] < unknown["high"]
    shown = ls(tmp_path / "runs", "--by", "config").stdout
    assert "one group" in shown
    assert "unknown" in shown
    assert "have no known group" not in shown
    scored(tmp_path, right[0], name="c", key="c" * 12, groups=[*GROUPS[:-2], "", ""])
    partly = rows_of(tmp_path / "runs" / "c")[0]
    assert (partly["num_groups"], partly["num_ungrouped"]) == (14, 2)
    assert "some videos have no known group" in ls(tmp_path / "runs" / "c", "--by", "config").stdout


def test_rows_are_sorted_and_filtered_by_what_a_configuration_has(folder: Path) -> None:
    names = [row["configuration"] for row in rows_of(folder, "--sort", "val_top1")]
    assert names == ["b", "a"]
    assert [row["configuration"] for row in rows_of(folder, "--filter", "optim.lr>0.1")] == ["b"]
    assert [row["configuration"] for row in rows_of(folder, "--filter", "num_seeds=3")] == ["a"]
    (row,) = rows_of(folder, "--filter", "name=b", "--columns", "configuration,optim.lr")
    assert row == {"configuration": "b", "optim.lr": 0.5}
    assert "none of 5 runs matches --filter" in ls(folder, "--by", "config", "--filter", "num_seeds>9").stdout
    assert (
        "none of 1 runs is finished and has stored val predictions"
        in ls(folder / "c", "--by", "config").stdout
    )


@pytest.mark.parametrize("option", [("--filter", "seed=1"), ("--sort", "state"), ("--columns", "run")])
def test_what_only_a_run_has_is_refused(folder: Path, option: tuple[str, str]) -> None:
    done = ls(folder, "--by", "config", *option)
    assert done.exit_code == 2
    assert "is of one run, and a row of --by config stands for several" in done.stderr


def test_runs_that_do_not_belong_together_are_named(folder: Path, tmp_path: Path, right: np.ndarray) -> None:
    copy = finished(make_run(tmp_path, name="d"))
    store_logits(copy, np.eye(3)[LABELS], LABELS.tolist(), groups=GROUPS)
    other = finished(make_run(tmp_path, name="b", key="f" * 12, seed=1, optim={"lr": 0.5}))
    store_logits(other, np.eye(3), [0, 1, 2])
    done = ls(folder, "--by", "config")
    assert f"{copy.folder}: left out: the same configuration and seed as {folder / 'a'}" in done.stderr
    assert "2 runs left out: " in done.stderr
    assert "did not score the same val videos" in done.stderr
    assert [row["configuration"] for row in rows_of(folder)] == ["a"]


@pytest.mark.parametrize("state", ["interrupted", "stopped", "failed"])
def test_the_mean_is_that_of_finished_runs(folder: Path, right: np.ndarray, state: RunState) -> None:
    """A run that still trains or was stopped has fewer epochs than the other seeds."""
    unfinished = scored(folder.parent, right[3], name="a", seed=3)
    before = rows_of(folder)
    unfinished.write_status(Status(state, 2, 9, best_epoch=1))
    row, _ = rows_of(folder)
    assert (row["seeds"], row["val_top1"]) == ([0, 1, 2], pytest.approx(right[:3].mean()))
    assert before[0]["seeds"] == [0, 1, 2, 3]
    said = ls(folder, "--by", "config").stderr.splitlines()
    assert f"{unfinished.folder}: left out: not finished: {state}" in said
