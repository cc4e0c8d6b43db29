"""`vidcls crossval`: each video scored once by a model that saw nothing of its group."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.training import Experiment
from vidcls.cli import app
from vidcls.evaluate.predictions import load_predictions
from vidcls.runs import find_runs

pytestmark = pytest.mark.long


def cross(experiment: Experiment, *words: object) -> Result:
    small = experiment.spec(runs="small", name="small", train__epochs=2)
    frozen = experiment.spec(
        runs="frozen", name="frozen", model={"kind": "frame_average", "freeze": ["backbone"]}, train__epochs=1
    )
    runs = f"runs_dir={experiment.folder / 'runs'}"
    return CliRunner().invoke(app, ["crossval", *map(str, (small, frozen, runs, *words))])


def test_each_video_is_scored_once_by_a_model_that_saw_nothing_of_its_group(experiment: Experiment) -> None:
    result = cross(experiment, "--folds", 2, "--json")
    assert result.exit_code == 0, result.output
    first, second = json.loads(result.stdout)
    assert first["difference"] == 0
    assert second["difference"] == pytest.approx(second["top1"] - first["top1"])
    low, high = second["interval_95"]
    assert low <= second["difference"] <= high
    runs = find_runs(experiment.folder / "runs" / "small-cv")
    assert len(runs) == 2
    right, seen = 0, set()
    for run in runs:
        table = Path(run.spec().data.root)
        rows = list(csv.DictReader(table.read_text().splitlines()))
        of = {split: {row["group"] for row in rows if row["split"] == split} for split in ("train", "val")}
        assert not of["train"] & of["val"]
        assert len(rows) == 40  # the sealed test is not among them
        last = load_predictions(run.predictions_file("val", "last"))
        right += int((last.logits.argmax(1) == last.labels).sum())
        seen |= {Path(name).name for name in last.ids}
    assert len(seen) == 40
    assert first["top1"] == pytest.approx(right / 40)
    again = cross(experiment, "--folds", 2)
    assert again.exit_code == 0, again.output
    assert "40 videos" in again.stdout
    assert len(find_runs(experiment.folder / "runs" / "small-cv")) == 2  # nothing was trained again


def test_links_in_the_path_change_nothing(experiment: Experiment) -> None:
    (experiment.folder / "scratch" / "deep").mkdir(parents=True)
    (experiment.folder / "runs").symlink_to(experiment.folder / "scratch" / "deep")
    result = cross(experiment, "--folds", 2, "train.epochs=1")
    assert result.exit_code == 0, result.output
    assert "40 videos" in result.stdout


def test_other_data_under_the_same_name_has_folds_of_its_own(experiment: Experiment, demo: Path) -> None:
    few = experiment.folder / "few.csv"
    names = sorted((demo / "videos" / "train").rglob("v_*.avi"))
    rows = [f"{path},{path.stem.split('_')[1]},train,{path.stem}" for path in names]
    few.write_text("\n".join(["path,label,split,group", *rows]) + "\n")
    spec, runs = experiment.spec(train__epochs=1), experiment.folder / "runs"
    for root, num in ((few, len(rows)), (demo, 40), (few, len(rows))):
        result = CliRunner().invoke(app, ["crossval", str(spec), "--folds", "2", f"data.root={root}"])
        assert result.exit_code == 0, result.output
        assert f"{num} videos" in result.stdout
    assert len(find_runs(runs)) == 4
    assert len(list((runs / "small-cv").glob("*.csv"))) == 4


def test_refuses_specs_of_other_data(experiment: Experiment, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("path,label,split,group\nx.avi,a,train,g\n")
    a = experiment.spec(runs="a")
    b = experiment.spec(runs="b", data={"root": str(tmp_path / "one.csv")})
    result = CliRunner().invoke(app, ["crossval", str(a), str(b)])
    assert result.exit_code == 2
    assert "x.avi" in result.stderr
    for seeds in ("a", "²", "0,0", "1,01"):
        result = CliRunner().invoke(app, ["crossval", str(a), "--fold-seeds", seeds])
        assert result.exit_code == 2
        assert "--fold-seeds: expected whole numbers, each once" in result.stderr
