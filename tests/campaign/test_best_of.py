"""What is said of choosing the best trial of a sweep on val."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.support.races import scripted_seed, specs
from tests.support.sweeps import work
from vidcls.campaign.best_of import best_of
from vidcls.cli import app
from vidcls.launch.local import LocalProfile
from vidcls.statistics.selection import expected_maximum
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.launch import freeze
from vidcls.sweep.plan import plan_launch
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions

pytestmark = pytest.mark.long

RATES = [0.70, 0.701, 0.702]


def searched(folder: Path, *, metric: str = "val/top1", repeats: int = 1) -> SweepFolder:
    """A finished sweep over contenders that are equally good."""
    (spec,) = specs(folder, {"base": 0.5})
    content = {
        "name": "search",
        "method": "grid",
        "metric": {"name": metric, "goal": "minimize" if "loss" in metric else "maximize"},
        "parameters": {"optim.lr": {"values": RATES}},
        "command": ["vidcls", "train", str(spec), "${args}"],
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(content))
    options = SweepOptions(repeats=repeats)
    plan = plan_launch(
        load_sweep(folder / "search.yaml"),
        overrides=(),
        options=options,
        profile=LocalProfile(),
        num_workers=1,
    )
    freeze(plan)
    work(plan.folder, scripted_seed)
    return plan.folder


def said(*args: object) -> Any:
    done = CliRunner().invoke(app, [*map(str, args), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_best_and_status_say_what_the_choice_flatters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = searched(tmp_path, repeats=2)
    found = best_of(folder, folder.trials().refresh())
    assert found is not None
    assert found.selection is not None
    assert found.selection.num_single == 0
    assert found.selection.flattery == pytest.approx(expected_maximum(3) * found.selection.spread)
    assert f"best of 3 configurations: choosing it on these val videos flatters by about {100 * found.selection.flattery:.1f} points" in found.sentence  # fmt: skip
    told = CliRunner().invoke(app, ["sweep", "best", str(folder.path)])
    assert found.sentence in told.stdout
    assert found.sentence in CliRunner().invoke(app, ["sweep", "status", str(folder.path)]).stdout
    for command in ("best", "status"):
        assert said("sweep", command, folder.path)["selection"] == found.as_dict()


def test_single_seeds_give_a_lower_bound_and_other_metrics_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = searched(tmp_path)
    found = best_of(folder, folder.trials().refresh())
    assert found is not None
    assert "points even if all were equal, and more, as one seed does not show how much" in found.sentence
    first = folder.run_of(folder.trials().refresh()[0])
    assert first is not None
    first.predictions_file("val", "best").unlink()
    unknown = best_of(folder, folder.trials().refresh())
    assert unknown is not None
    assert unknown.selection is None
    assert "by how much is not known" in unknown.sentence
    (tmp_path / "other").mkdir()
    other = searched(tmp_path / "other", metric="train/loss")
    chosen = best_of(other, other.trials().refresh())
    assert chosen is not None
    assert "not for train/loss" in chosen.sentence
