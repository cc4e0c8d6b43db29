"""`vidcls sweep status` and its siblings: which sweep is meant, what a narrow window shows, what scripts get."""

from __future__ import annotations

import json
import re
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.sweeps import Search, work
from tests.support.training import Experiment
from vidcls.cli import app
from vidcls.sweep.worker.messages import TrialOutcome, TrialRequest

pytestmark = pytest.mark.decoded

_NUM = 10


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["sweep", *map(str, words)])


def said(*words: object, code: int = 0) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.fixture
def search(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.chdir(experiment.folder)
    return Search(experiment)


def refused_trial(order: TrialRequest, worker: Connection, alive: Connection) -> None:
    """The first function of a child that cannot train, for a reason with many words."""
    order.log_file.touch()
    worker.send(TrialOutcome("refused", "no such thing as " + "a very long reason, " * 20, {}))
    worker.close()


def test_a_narrow_window_shows_numbers_and_logs_whole(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"optim.lr": {"values": [0.001 * n for n in range(1, _NUM + 1)]}}
    folder = search.frozen(search.file(points, name="kinds_of_models_with_a_long_name"))
    work(folder, refused_trial)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")

    def lines(*options: str) -> list[str]:
        shown = run("status", folder.path, *options)
        assert shown.exit_code == 3, shown.output
        return re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout).splitlines()

    def logs(found: list[str]) -> list[int]:
        paths = [line.strip() for line in found if line.strip().endswith("log.txt")]
        assert all(Path(path).is_file() for path in paths), "a path is copied as it stands there"
        return [int(Path(path).parent.name) for path in paths]

    few = lines()
    assert logs(few) == list(range(8))
    assert all(any(line.split()[:2] == [str(n), "no"] for line in few) for n in range(8))
    assert any("2 more: --all shows them" in line for line in few)
    every = lines("--all")
    assert logs(every) == list(range(_NUM))
    assert [line.split()[:2] for line in every if "optim.lr=" in line] == [
        [str(n), "failed"] for n in range(_NUM)
    ]
    assert len(said("status", folder.path, "--all", code=3)["trials"]) == _NUM
    assert "trials" not in said("status", folder.path, code=3)


def test_a_sweep_is_found_by_its_name_its_folder_and_its_file(search: Search) -> None:
    file = search.file(name="kinds")
    folder = search.frozen(file).path
    for text in ("kinds", folder.name, folder, file, "runs", "."):
        assert said("status", text)["folder"] == str(folder), text
    other = search.frozen(file, repeats=2).path
    for text in ("kinds", file):
        both = run("status", text)
        assert both.exit_code == 2
        assert all(path.name in both.output for path in (folder, other))
    assert said("status", other.name)["folder"] == str(other)
    # A folder with the name of a sweep: both readings are told, and each can be typed.
    Path("kinds").mkdir()
    assert run("status", "kinds").exit_code == 2
    Path(other).rename("kinds/one")
    both = run("status", "kinds")
    assert (both.exit_code, "./kinds" in both.output, folder.name in both.output) == (2, True, True)
    assert said("status", "./kinds")["folder"] == str(Path("kinds/one").absolute())
    assert said("status", folder.name)["folder"] == str(folder)


def test_a_file_that_was_edited_is_not_taken_for_the_sweep_of_before(search: Search) -> None:
    file = search.file(name="kinds")
    folder = search.frozen(file).path
    search.file({"optim.lr": {"values": [0.5]}}, name="kinds")
    refused = run("status", file)
    assert refused.exit_code == 2
    assert "was changed since its launch" in refused.output
    assert folder.name in refused.output
    assert "not launched yet" in run("status", search.file(name="other")).output


def test_every_command_of_a_sweep_speaks_json(search: Search) -> None:
    file = search.file(name="kinds", run_cap=2)
    folder = search.frozen(file).path
    assert said("check", file)["num_trials"] == 2
    assert said("ls")[0]["folder"] == str(folder)
    assert "exec --" in said("launch", file, "--cluster", "local", "--dry-run")["script"]
    here = {"folder": str(folder)}
    assert said("retry", "kinds") == here | {"trials": [], "job": None}
    work(search.frozen(file), refused_trial)
    assert said("resume", "kinds") == here | {"job": None}
    assert said("pause", "kinds") == here | {"state": "paused"}
    assert said("cancel", "kinds") == here | {"state": "cancelled"}
    assert said("clean", "kinds") == here | {"removed": False, "freed_bytes": 0}
    refused = run("clean", "kinds", "--all", "--json")
    assert (refused.exit_code, "add --yes" in refused.output) == (2, True)
    assert said("clean", "kinds", "--all", "--yes") == here | {"removed": True}
    assert not folder.exists()
