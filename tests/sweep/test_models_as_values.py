"""Searches over kinds of models: a whole section is a value, models of the user's own among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.sweeps import Search, work
from tests.support.training import Experiment
from vidcls.cli.main import app
from vidcls.errors import ExitCode
from vidcls.run.find import find_runs

pytestmark = pytest.mark.decoded

OWN = Path(__file__).parents[1] / "own_code" / "own_models.py"
MODELS = [
    {"kind": "frame_average", "aggregate": "max", "dropout": 0.5},
    {"kind": "cnn3d"},
    {"kind": "custom", "target": f"{OWN}:Divided", "args": {"width": 4}},
    {"kind": "custom", "target": f"{OWN}:made"},
]


@pytest.fixture
def search(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.chdir(experiment.folder)
    return Search(experiment)


def test_a_section_is_a_value_with_settings_of_its_own_kind(search: Search) -> None:
    parameters = {"model": {"values": MODELS}, "optim.lr": {"values": [0.003]}}
    folder = search.frozen(search.file(parameters, settings={"train__epochs": 1}))
    assert work(folder).exit_code == ExitCode.DONE
    models = [json.loads(run.spec().model.model_dump_json()) for run in find_runs(folder.runs_dir)]
    assert len(models) == len(MODELS)
    for asked in MODELS:
        assert any(asked.items() <= found.items() for found in models)
    listed = CliRunner().invoke(app, ["sweep", "status", str(folder.path), "--json"])
    assert {row["point"]["model"]["kind"] for row in json.loads(listed.stdout)["best"]} == {
        "frame_average", "cnn3d", "custom",
    }  # fmt: skip


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_each_method_draws_kinds(search: Search, method: str) -> None:
    cap = {} if method == "grid" else {"run_cap": 2}
    checked = CliRunner().invoke(
        app, ["sweep", "check", str(search.file({"model": {"values": MODELS}}, method=method, **cap))]
    )
    assert checked.exit_code == ExitCode.DONE, checked.stderr


def test_a_setting_of_another_kind_is_refused(search: Search) -> None:
    wrong = [{"kind": "cnn3d", "aggregate": "max"}, *MODELS]
    checked = CliRunner().invoke(app, ["sweep", "check", str(search.file({"model": {"values": wrong}}))])
    assert checked.exit_code == ExitCode.USER_MISTAKE
    assert "model.aggregate: has no effect for kind: cnn3d" in " ".join(checked.stderr.split())


def test_a_target_that_is_not_found_is_refused_before_anything_is_queued(search: Search) -> None:
    models = [{"kind": "custom", "target": "no_such_module:Net"}, *MODELS]
    launched = CliRunner().invoke(app, ["sweep", "launch", str(search.file({"model": {"values": models}}))])
    assert launched.exit_code == ExitCode.USER_MISTAKE
    assert "no_such_module is found neither in" in " ".join(launched.stderr.split())
    assert not (search.experiment.folder / "runs").exists()


def test_a_path_that_trials_would_not_find_is_refused(search: Search) -> None:
    """Trials run in the folder of the sweep, where a relative path leads elsewhere."""
    model = {"kind": "custom", "target": f"{OWN}:Divided", "args": {"width": "small.yaml"}}
    Path("small.yaml").touch()
    file = search.file({"optim.lr": {"values": [0.1]}}, settings={"model": model})
    launched = CliRunner().invoke(app, ["sweep", "launch", str(file)])
    assert launched.exit_code == ExitCode.USER_MISTAKE
    assert f"write {Path('small.yaml').absolute()}" in "".join(launched.stderr.split("\n")).replace("  ", " ")
