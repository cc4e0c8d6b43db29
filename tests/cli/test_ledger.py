"""`vidcls ledger`: every look at a test split, whoever asks from where; nothing that cannot be read is hidden."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.scored import make_run, store_logits
from vidcls.cli import app
from vidcls.data.manifest import load_manifest
from vidcls.evaluate.ledger import ledger_of
from vidcls.run.folder import Run
from vidcls.spec.data import DataSection


def vidcls(*args: object) -> Result:
    result = CliRunner().invoke(app, list(map(str, args)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def splits_of(*args: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vidcls("ledger", *args, "--json").stdout)
    return found


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Two configurations with one name; two seeds of the first and one of the second were scored on test."""
    found = [
        make_run(tmp_path, name="x", key="a" * 12, optim={"lr": 0.1}),
        make_run(tmp_path, name="x", key="a" * 12, seed=1, optim={"lr": 0.1}),
        make_run(tmp_path, name="x", key="b" * 12, optim={"lr": 0.2}),
    ]
    for run in found:
        store_logits(run, np.eye(2), [0, 1], split="test")
        ledger_of(run).append(run=str(run.folder), checkpoint="best")
    return found


def test_it_says_who_looked_when_for_which_configuration(runs: list[Run], tmp_path: Path) -> None:
    ledger_of(runs[0]).append(run=str(runs[0].folder), checkpoint="last", repeated=True)
    (split,) = splits_of(tmp_path / "runs")
    openings = ledger_of(runs[0]).entries()
    assert [(look["when"], look["who"]) for look in split["looks"]] == [(o.when, o.who) for o in openings]
    assert [look["label"] for look in split["looks"]] == [
        "x: optim.lr=0.1",
        "x: optim.lr=0.1",
        "x: optim.lr=0.2",
        "x: optim.lr=0.1",
    ]
    assert [look["repeated"] for look in split["looks"]] == [False, False, False, True]
    assert (split["data"], split["manifest_hash"]) == (str(tmp_path / "nowhere"), "abc")
    assert (split["num_looks"], split["num_configurations"], split["num_repeats"]) == (4, 2, 1)
    assert split["since"] == openings[0].when[:10]
    done = vidcls("ledger", tmp_path / "runs")
    assert done.stdout.splitlines()[0] == (
        f"{tmp_path / 'nowhere'} (abc): 4 looks at its test split by 2 configurations since {split['since']},"
        " 1 of them at stored results again"
    )
    assert done.stdout.count("x: optim.lr=0.1") == 3
    assert openings[0].who in done.stdout


def test_a_run_a_folder_a_store_and_the_file_show_the_same(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = splits_of(tmp_path / "runs")
    ledger = ledger_of(runs[0]).path
    assert splits_of(runs[0].folder) == splits_of(tmp_path / "store") == splits_of(ledger) == whole
    monkeypatch.chdir(tmp_path)
    (here,) = splits_of()
    assert here["looks"] == whole[0]["looks"]
    shutil.rmtree("runs")
    (gone,) = splits_of()
    assert (gone["data"], gone["num_configurations"]) == (None, 2)
    assert gone["looks"][0]["label"] == f"x/{'a' * 12}-s0"
    assert "the data abc: 3 looks at its test split" in vidcls("ledger").stdout
    shutil.rmtree("store")
    done = vidcls("ledger")
    assert done.exit_code == 2
    assert "no runs below runs and no ledgers below store" in done.stderr
    done = vidcls("ledger", tmp_path)
    assert done.exit_code == 2
    assert "has neither runs nor ledgers" in done.stderr


def test_a_spec_names_its_data(tmp_path: Path, demo: Path) -> None:
    folders = {"runs_dir": str(tmp_path / "runs"), "store_dir": str(tmp_path / "store")}
    manifest = load_manifest(DataSection(root=str(demo)), cache_dir=tmp_path / "store")
    run = make_run(tmp_path, name="x", manifest_hash=manifest.hash, root=demo, **folders)
    assert "its test split was never opened" in vidcls("ledger", run.spec_file).stdout
    ledger_of(run).append(run=str(run.folder), checkpoint="best")
    make_run(tmp_path, name="other", manifest_hash="def")
    (split,) = splits_of(run.spec_file)
    assert (split["num_looks"], split["data"]) == (1, str(demo))


def test_what_cannot_be_read_counts(runs: list[Run], tmp_path: Path) -> None:
    ledger = ledger_of(runs[0])
    with ledger.path.open("ab") as file:
        file.write(b"\n{\n")
    runs[2].provenance_file.write_text("{")
    (split,) = splits_of(ledger.path)
    assert (split["num_looks"], split["num_configurations"], split["num_unreadable"]) == (4, 3, 1)
    assert split["looks"][2]["label"] == f"x/{'b' * 12}-s0"
    shown = vidcls("ledger", ledger.path).stdout
    assert f"1 line of {ledger.path} cannot be read, each counted as one of another configuration" in shown


def test_the_number_of_looks_stands_beside_every_test_figure(runs: list[Run]) -> None:
    mistakes = vidcls("mistakes", runs[0].folder, "--split", "test")
    assert "was evaluated 4 times so far by 2 configurations" in mistakes.stdout
    found = json.loads(vidcls("mistakes", runs[0].folder, "--split", "test", "--json").stdout)
    name = str(runs[0].folder)
    assert (found["test_openings"], found["test_configurations"]) == ({name: 5}, {name: 2})
    export = vidcls("runs", "export", runs[0].folder, "--per-video", "--split", "test")
    assert "was evaluated 6 times so far" in export.stderr
    for run in runs[:2]:
        store_logits(run, np.eye(2), [0, 1])
    fuse = ("fuse", runs[0].folder, runs[1].folder, "--split", "test")
    assert "was evaluated 7 times so far by 3 configurations" in vidcls(*fuse).stdout
    assert json.loads(vidcls(*fuse, "--json").stdout)["test_configurations"] == {
        str(run.folder): 3 for run in runs[:2]
    }
    (split,) = splits_of(runs[0].folder)
    assert split["looks"][-1]["label"].startswith("fused/")
    assert "test_openings" not in json.loads(vidcls("mistakes", runs[0].folder, "--json").stdout)
