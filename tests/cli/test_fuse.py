"""`vidcls fuse` as a person and a script use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.scored import make_run, store_logits
from vidcls.cli import app

LABELS = [0, 1, 2] * 8


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["fuse", *map(str, args)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs with logits of val, of which one video could not be read."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        logits = rng.normal(size=(len(LABELS), 3)) + np.eye(3)[LABELS]
        store_logits(make_run(tmp_path, name=name), logits, LABELS, unscored={"v_x": "truncated"})
    return tmp_path / "runs"


def test_a_table_says_what_the_fusion_is_worth(folder: Path) -> None:
    result = run(folder, "--tune", "val", "--per-class")
    assert result.exit_code == 3
    assert "v_x: not scored: truncated" in result.stderr
    for text in (
        "too optimistic",
        "equal weights",
        "cross-fitted",
        "95 % interval",
        "groups are not known",
        "class2",
    ):
        assert text in result.stdout, text
    assert (Path(result.stdout.split("\n")[-2]) / "fusion.json").is_file()


def test_a_gain_that_varies_nowhere_has_no_interval(tmp_path: Path) -> None:
    """Both runs say the same, so that their fusion says the same too: that is not certainty."""
    for name in ("a", "b"):
        store_logits(make_run(tmp_path, name=name), np.eye(3)[LABELS], LABELS)
    result = run(tmp_path / "runs")
    assert result.exit_code == 0, result.output
    assert (
        "+0.0 points of top-1, no interval: all 24 videos (groups are not known) agree, which may be chance,"
        " for these checkpoints only: no difference shown"
    ) in result.stdout
    gain = json.loads(run(tmp_path / "runs", "--json").stdout)["gain"]
    assert (gain["low"], gain["high"]) == (None, None)


def test_where_nothing_varies_there_is_no_interval(tmp_path: Path) -> None:
    groups = [f"g{number // 2}" for number in range(len(LABELS) - 2)] + ["", ""]
    for name in ("a", "b"):
        store_logits(make_run(tmp_path, name=name), np.eye(3)[LABELS], LABELS, groups=groups)
    said = " ".join(run(tmp_path / "runs").stdout.split())
    assert (
        "no interval: all 13 groups (2 are single videos whose group is not known) agree, which may be chance"
    ) in said
    found = json.loads(run(tmp_path / "runs", "--json").stdout)
    assert (found["gain"]["low"], found["gain"]["high"], found["num_ungrouped"]) == (None, None, 2)


def test_a_run_of_another_version_is_named(folder: Path) -> None:
    file = next((folder / "b").rglob("provenance.json"))
    file.write_text(json.dumps({"manifest": {"hash": "abc"}}))
    result = run(folder)
    assert result.exit_code == 1
    assert f"{file}: written by another version of vidcls: it has no code, data_root" in result.stderr


def test_json_is_what_is_stored(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    printed = json.loads(run(folder, "--weights", "3,1", "--out", out, "--json").stdout)
    assert printed == json.loads((out / "report" / "val-best" / "fusion.json").read_text())
    assert [row["weight"] for row in printed["runs"]] == [0.75, 0.25]
    assert printed["unscored"] == {"v_x": "truncated"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--weights", "1"], "expected 2 numbers"),
        (["--weights", "1,-1"], "none below zero"),
        (["--weights", "0,0"], "not all of them zero"),
        (["--weights", "1,nan"], "expected 2 numbers"),
        (["--weights", "1,1", "--tune", "val"], "no effect with --tune"),
        (["--split", "test"], "--split test --checkpoint best"),
        (["--checkpoint", "last"], "no val logits"),
    ],
)
def test_a_mistake_is_a_message_and_exit_code_2(folder: Path, args: list[str], message: str) -> None:
    result = run(folder, *args)
    assert result.exit_code == 2
    assert message in result.stderr


def test_one_run_is_no_fusion(folder: Path) -> None:
    result = run(folder / "a")
    assert result.exit_code == 2
    assert "a fusion needs two runs or more" in result.stderr
