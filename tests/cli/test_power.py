"""`vidcls power` as a person and a script use it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support import compared
from tests.support.compared import LEAKY, configuration
from tests.support.scored import UNKNOWN, make_run, store_logits
from vidcls.cli import app
from vidcls.evaluate.ledger import ledger_of
from vidcls.run.folder import Run
from vidcls.run.shapes import Status

GIVEN = ("--seed-sd", "3", "--group-sd", "15", "--disagreement", "12")
SIZE = ("--videos", "120", "--groups", "45")
NUM_VIDEOS = 60
LABELS = [number % 3 for number in range(NUM_VIDEOS)]
GROUPS = [f"g{number // 3}" for number in range(NUM_VIDEOS)]


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["power", *map(str, args)], env={"COLUMNS": "200"})


def as_json(*args: object) -> dict[str, object]:
    result = run(*args, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, object] = json.loads(result.stdout)
    return found


def make_scored(folder: Path, *, key: str, seed: int, strength: float, split: str = "val") -> Path:
    rng = np.random.default_rng([int(key, 16), seed])
    scored = make_run(folder, name=f"with_{key[0]}", key=key, seed=seed)
    logits = rng.normal(size=(NUM_VIDEOS, 3)) + strength * np.eye(3)[LABELS]
    store_logits(scored, logits, LABELS, groups=GROUPS, split=split)
    scored.write_status(Status("finished", 9, 9, best_epoch=1))
    return scored.folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two configurations with three seeds each."""
    for key, strength in (("a" * 12, 1.5), ("b" * 12, 2.0)):
        for seed in range(3):
            make_scored(tmp_path, key=key, seed=seed, strength=strength)
    return tmp_path / "runs"


def test_the_first_line_is_the_answer_to_be_copied() -> None:
    result = run("--difference", 10, *GIVEN, *SIZE)
    assert result.exit_code == 0, result.stderr
    first = result.stdout.splitlines()[0]
    assert re.fullmatch(r"10 points: \d+ seeds each with 120 videos in 45 groups \(power 8\d %\)", first)


def test_every_number_of_the_screen_is_one_of_the_json() -> None:
    asked = ("--difference", 10, *GIVEN, *SIZE)
    shown, found = run(*asked).stdout, as_json(*asked)
    assert shown.splitlines()[0] == found["sentence"]
    assert found["plan"]["seeds"] == int(re.search(r"(\d+) seeds", shown)[1])
    table = [line.split() for line in shown.splitlines()[2:]]
    for row in found["table"]:
        cells = next(line for line in table if line[:1] == [str(row["seeds"])])
        assert f"{row['power']:.0%}" in cells
        assert f"{row['groups']} ({row['videos']})" in shown


def test_seeds_are_searched_for_and_one_fewer_is_not_enough() -> None:
    found = as_json("--difference", 10, *GIVEN, *SIZE)
    assert found["searched"] == "seeds"
    assert found["power"] >= 0.8
    fewer = as_json("--difference", 10, *GIVEN, *SIZE, "--seeds", found["plan"]["seeds"] - 1)
    assert fewer["searched"] is None
    assert fewer["enough"] is False
    assert fewer["power"] < 0.8


def test_with_seeds_fixed_groups_are_searched_for() -> None:
    found = as_json("--difference", 8, *GIVEN, "--seeds", 5)
    assert found["searched"] == "groups"
    assert found["power"] >= 0.8
    groups = found["plan"]["groups"]
    asked = ("--difference", 8, *GIVEN, "--seeds", 5, "--groups", groups, "--videos", groups)
    assert as_json(*asked)["power"] == found["power"]


def test_what_no_number_of_seeds_reaches_says_what_does() -> None:
    found = as_json("--difference", 4, *GIVEN, *SIZE)
    assert found["plan"] is None
    assert (
        "no number of seeds is enough with 120 videos in 45 groups (100 seeds each: power"
        in found["sentence"]
    )
    instead = found["instead"]
    sized = ("--seeds", instead["seeds"], "--groups", instead["groups"], "--videos", instead["videos"])
    assert as_json("--difference", 4, *GIVEN, *sized)["power"] >= 0.8


def test_what_no_number_of_groups_reaches_says_which_seeds_do() -> None:
    found = as_json("--difference", 4, *GIVEN, "--seeds", 2)
    assert "no number of groups is enough with 2 seeds each" in found["sentence"]
    assert found["instead"]["seeds"] > 2


def test_one_seed_is_about_two_checkpoints() -> None:
    shown = run("--difference", 10, *GIVEN, *SIZE, "--seeds", 1).stdout
    assert "one seed each" in shown
    assert "about these two checkpoints" in shown


def test_many_comparisons_need_more() -> None:
    one = as_json("--difference", 10, *GIVEN, *SIZE, "--seeds", 8)
    many = as_json("--difference", 10, *GIVEN, *SIZE, "--seeds", 8, "--comparisons", 15)
    assert many["power"] < one["power"]
    assert "15 comparisons together" in many["sentence"]


def test_measured_variances_can_be_given_back(folder: Path) -> None:
    measured = as_json("--difference", 10, folder)
    parts = measured["variances"]
    assert "2 configurations with 3 seeds each, 60 val videos in 20 groups" in parts["source"]
    given = [
        word
        for name in ("seed_sd", "group_sd", "disagreement")
        for word in (f"--{name.replace('_', '-')}", parts[name])
    ]
    asked = ("--seeds", 4, "--groups", 20, "--videos", 60)
    again = as_json("--difference", 10, *given, *asked)
    assert again["power"] == pytest.approx(as_json("--difference", 10, folder, *asked)["power"], abs=1e-6)


def test_more_groups_have_as_many_videos_each_as_those_of_the_runs(folder: Path) -> None:
    assert as_json("--difference", 10, folder, "--groups", 40)["tried"]["videos"] == 120
    assert as_json("--difference", 10, folder, "--videos", 90)["tried"]["groups"] == 30


def test_a_single_seed_is_left_out_and_named(folder: Path) -> None:
    make_scored(folder.parent, key="c" * 12, seed=0, strength=1.0)
    result = run("--difference", 10, folder)
    assert result.exit_code == 0
    assert "with_c: left out: a single seed says nothing" in result.stderr


def test_a_look_at_test_is_recorded(tmp_path: Path) -> None:
    for key in ("a" * 12, "b" * 12):
        for seed in range(2):
            make_scored(tmp_path, key=key, seed=seed, strength=1.0, split="test")
    result = run("--difference", 10, tmp_path / "runs", "--split", "test")
    assert result.exit_code == 0, result.stderr
    assert "the test split of this data was evaluated 4 times so far" in result.stdout


def test_a_look_that_shows_nothing_is_not_recorded(tmp_path: Path) -> None:
    for key in ("a" * 12, "b" * 12):
        for seed in range(2):
            last = make_scored(tmp_path, key=key, seed=seed, strength=1.0, split="test")
    Run(last).predictions_file("test", "best").unlink()
    result = run("--difference", 10, tmp_path / "runs", "--split", "test")
    assert "no test logits of its checkpoint 'best' are stored" in result.stderr
    assert ledger_of(Run(last)).count == 0


def test_an_unfinished_run_is_refused(folder: Path) -> None:
    unfinished = Run(folder / "with_b" / f"{'b' * 12}-s2")
    unfinished.write_status(Status("interrupted", 3, 9))
    result = run("--difference", 10, folder)
    assert result.exit_code == 2
    assert f"{unfinished.folder}: is not finished (interrupted)" in result.stderr


@pytest.mark.parametrize(
    ("facts", "options"),
    [
        ({"leaks": LEAKY, "manifest_hash": "def"}, ("--across-data",)),
        ({"leaks": UNKNOWN, "manifest_hash": "def"}, ()),
        ({"settings": {"data": {"root": "nowhere", "join_val": True}, "train": {"stop_after": 3}}}, ()),
        ({"state": "interrupted"}, ()),
    ],
    ids=["leaky beside clean", "other data", "trained on val", "not finished"],
)
def test_what_compare_refuses_is_refused_in_its_words(
    tmp_path: Path, facts: dict[str, Any], options: tuple[str, ...]
) -> None:
    configuration(tmp_path, "plain", 0.5)
    configuration(tmp_path, "other", 0.8, **facts)
    said = run("--difference", 5, tmp_path, *options)
    assert said.exit_code == 2
    assert said.stderr == CliRunner().invoke(app, ["compare", str(tmp_path), *options]).stderr


def test_runs_of_other_data_are_measured_where_asked(tmp_path: Path) -> None:
    configuration(tmp_path, "plain", 0.5)
    configuration(tmp_path, "other", 0.8, manifest_hash="def")
    assert run("--difference", 5, tmp_path, "--across-data").exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give runs, or --seed-sd, --group-sd, --disagreement"),
        (("--seed-sd", 3), "give runs, or --group-sd, --disagreement"),
        (GIVEN, "how many videos are there?"),
        ((*GIVEN, "--videos", 20, "--groups", 45), "20 videos cannot be in 45 groups"),
        ((*GIVEN, *SIZE, "--split", "test"), "--split test has no effect without runs"),
        ((*GIVEN, *SIZE, "--checkpoint", "last"), "--checkpoint last has no effect without runs"),
        ((*GIVEN, *SIZE, "--across-data"), "--across-data has no effect without runs"),
        ((*GIVEN, "RUNS"), "--seed-sd has no effect with runs"),
        (("ONE",), "with_a: 3 seeds"),
        (("nowhere",), "nowhere: no run, configuration, sweep or folder of runs"),
    ],
)
def test_mistakes_are_named_with_what_to_type(folder: Path, args: tuple[object, ...], message: str) -> None:
    named = {"RUNS": folder, "ONE": folder / "with_a"}
    result = run("--difference", 5, *(named.get(str(arg), arg) for arg in args))
    assert result.exit_code != 0
    assert message in result.stderr
    assert len(result.stderr.splitlines()) > 1


def test_videos_of_one_group_have_no_spread(tmp_path: Path) -> None:
    for key in ("a" * 12, "b" * 12):
        for seed in range(2):
            scored = make_run(tmp_path, name=f"with_{key[0]}", key=key, seed=seed)
            store_logits(scored, np.eye(3)[LABELS], LABELS, groups=["g"] * NUM_VIDEOS)
            scored.write_status(Status("finished", 9, 9, best_epoch=1))
    result = run("--difference", 5, tmp_path / "runs")
    assert "all 60 val videos belong to one group" in result.stderr


def test_variances_say_what_data_they_come_from(tmp_path: Path) -> None:
    few = [f"g{number % 5}" for number in range(len(compared.LABELS))]
    for name in ("first", "second"):
        runs = configuration(tmp_path, name, 0.6, leaks=LEAKY)
        compared.store(runs, 0.6 if name == "first" else 0.7, noise=0.3, groups=few)
    result = run("--difference", 5, tmp_path)
    assert "120 val videos in 5 groups, leaky data (leaky 90 %)): top-1 varies" in result.stdout
    said = "only 5 groups: variances of fewer than 10 are rough, and so is this answer"
    assert said in result.stdout.splitlines()
    variances = as_json("--difference", 5, tmp_path)["variances"]
    assert isinstance(variances, dict)
    assert variances["warning"] == said
