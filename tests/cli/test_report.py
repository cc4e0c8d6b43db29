"""`vidcls report` and `vidcls runs show --open` as a person and a script use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.compared import configuration, finished_run
from vidcls.cli import app


def run(*args: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [*map(str, args)], env={"COLUMNS": "300"} | (env or {}))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of two configurations, in the working folder."""
    monkeypatch.chdir(tmp_path)
    configuration(Path("runs"), "good", 0.9, num_seeds=2)
    configuration(Path("runs"), "bad", 0.6, num_seeds=2)
    return Path("runs")


def test_it_says_the_verdict_and_where_the_page_is(runs: Path) -> None:
    result = run("report", "runs/good", "runs/bad")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("good is better than bad by ")
    assert result.stdout.endswith("4 runs: reports/good-and-1-more/index.html\n")
    assert Path("reports/good-and-1-more/index.html").is_file()
    again = run("report", "runs/good", "runs/bad", "--json")
    assert json.loads(again.stdout)["page"] == "reports/good-and-1-more/index.html"


def test_runs_that_are_left_out_are_counted(runs: Path) -> None:
    finished_run(runs, "unscored")
    result = run("report", "runs", "--out", "page")
    assert result.exit_code == 3
    assert "left out: 1 run; the report says which and why" in result.stderr
    assert "reports" not in {path.name for path in Path().iterdir()}


def test_a_name_that_is_none_is_met_with_the_nearest(runs: Path) -> None:
    result = run("report", "runs/goood")
    assert result.exit_code == 2
    assert "did you mean runs/good" in result.stderr


def test_test_results_are_not_watched(runs: Path) -> None:
    result = run("report", "runs", "--watch", "--split", "test")
    assert result.exit_code == 2
    assert "each report of test results is a look that the ledger counts" in result.stderr


def test_the_page_of_one_run_opens_in_the_browser(runs: Path, tmp_path: Path) -> None:
    (browser := tmp_path / "browser").write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    folder = next(runs.glob("good/*-s0"))
    result = run("runs", "show", folder, "--open", env={"BROWSER": f"{browser} %s"})
    assert result.exit_code == 0, result.output
    opened = (tmp_path / "opened").read_text().strip()
    assert opened == (folder / "report" / "page" / "index.html").absolute().as_uri()
