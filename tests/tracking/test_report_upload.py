"""The page and the figures of a report on Weights & Biases, by the real client."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.compared import configuration
from tests.support.wandb_records import ENTITY
from tests.support.wandb_state import WandbServer
from vidcls.cli import app


def test_a_report_goes_up_with_its_page_and_its_figures(online: WandbServer) -> None:
    configuration(Path("runs"), "good", 0.9, num_seeds=2)
    result = CliRunner().invoke(app, ["report", "runs/good", "--wandb"])
    assert result.exit_code == 0, result.output
    (shown,) = online.runs.values()
    assert f"uploaded to {ENTITY}/{shown.project}/{shown.id}" in result.stderr
    page = Path("reports/good/index.html").read_bytes()
    assert page in shown.files.values()
    pictures = {path.read_bytes() for path in Path("reports/good/figures").glob("*.png")}
    assert pictures <= set(shown.files.values())


@pytest.mark.usefixtures("unreachable")
def test_without_a_key_nothing_is_made() -> None:
    configuration(Path("runs"), "good", 0.9, num_seeds=2)
    result = CliRunner().invoke(app, ["report", "runs/good", "--wandb"])
    assert result.exit_code == 2
    assert "wandb login" in result.stderr
    assert not Path("reports").exists()
