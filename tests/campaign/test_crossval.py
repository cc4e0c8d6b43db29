"""`vidcls crossval`: each video scored once by a model that saw nothing of its group."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.training import Experiment
from tests.support.waiting import wait_for
from vidcls.campaign.crossval import CrossValidation, Scored
from vidcls.cli import app
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.find import find_runs

pytestmark = pytest.mark.long


def cross(experiment: Experiment, *words: object) -> Result:
    small = experiment.spec(runs="small", name="small", train__epochs=2)
    frozen = experiment.spec(
        runs="frozen", name="frozen", model={"kind": "frame_average", "freeze": ["backbone"]}, train__epochs=1
    )
    runs = f"runs_dir={experiment.folder / 'runs'}"
    return CliRunner().invoke(app, ["crossval", *map(str, (small, frozen, runs, *words))])


def test_each_video_is_scored_once_by_a_model_that_saw_nothing_of_its_group(experiment: Experiment) -> None:
    out = experiment.folder / "found"
    result = cross(experiment, "--folds", 2, "--json", "--out", out)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    first, second = found["specs"]
    for row in (first, second):
        assert row["low"] <= row["top1"] <= row["high"]
    (pair,) = found["pairs"]
    assert pair["difference"] == pytest.approx(second["top1"] - first["top1"])
    assert pair["low"] <= pair["difference"] <= pair["high"]
    assert 0 <= pair["p_value_holm"] <= 1
    assert (found["num_groups"], found["num_folds"]) == (20, 2)
    assert "other trainings of the folds" in found["intervals_cover"]
    assert "videos to train on" in found["held_fixed"]
    (short,) = found["warnings"]
    assert "only 2 trainings of each spec" in short
    assert json.loads((out / "crossval.json").read_text()) == found
    (line,) = csv.DictReader((out / "pairs.csv").read_text().splitlines())
    assert float(line["difference"]) == pytest.approx(pair["difference"], abs=1e-4)
    assert "| spec | top1 | low | high |" in (out / "crossval.md").read_text()
    taken = cross(experiment, "--folds", 2, "--out", out)
    assert taken.exit_code == 2
    assert "crossval.json exists already" in taken.stderr
    runs = find_runs(experiment.folder / "runs" / "small-cv")
    assert len(runs) == 2
    assert {run.spec().seed for run in runs} == {0, 1}, "a fold is a training of its own"
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
    assert short in again.stdout
    assert f"{100 * pair['low']:+.1f} to {100 * pair['high']:+.1f}" in again.stdout
    assert f"{100 * first['low']:.1f} to {100 * first['high']:.1f}" in again.stdout
    assert len(find_runs(experiment.folder / "runs" / "small-cv")) == 2  # nothing was trained again


def test_what_is_odd_about_the_videos_is_told_once(experiment: Experiment, demo: Path) -> None:
    """Every class folder holds videos that the tables of the folds leave out."""
    rows = (demo / "metadata" / "train.csv").read_text().splitlines()[1:]
    lines = ["path,label,split,group"]
    for number, row in enumerate(rows):
        _, path, action, _ = row.split(",")
        copy = experiment.folder / "videos" / action / Path(path).name
        copy.parent.mkdir(parents=True, exist_ok=True)
        for name in (copy, copy.with_stem(f"unlisted{number}")):
            name.write_bytes((demo / "videos" / "train" / path).read_bytes())
        lines.append(f"{copy},{action},train,{number}")
    table = experiment.folder / "some.csv"
    table.write_text("\n".join(lines))
    spec = experiment.spec(train__epochs=1)
    result = CliRunner().invoke(app, ["crossval", str(spec), "--folds", "2", f"data.root={table}"])
    assert result.exit_code == 0, result.output
    assert result.stderr.count("are not listed") == 1
    assert f"{len(rows)} of {2 * len(rows)} videos are not listed" in result.stderr
    assert " to " in result.stdout, "one spec has an interval too"


def test_all_pairs_are_compared_under_holms_correction() -> None:
    right = np.ones((1, 60), bool)
    wrong = np.zeros((1, 60), bool)
    nearly = right.copy()
    nearly[0, :3] = False
    specs = tuple(
        Scored(name, Path(name), rows) for name, rows in (("a", right), ("b", wrong), ("c", nearly))
    )
    groups, folds = tuple(f"group{n // 2}" for n in range(60)), np.arange(60)[None] // 12
    found = CrossValidation(specs, groups, folds, 5, (0,))
    pairs = found.pairs()
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
    assert [round(pair.difference.value, 3) for pair in pairs] == [-1.0, -0.05, 0.95]
    assert [pair.is_clear for pair in pairs] == [True, False, True]
    assert pairs[0].p_value == pytest.approx(3 * pairs[0].difference.p_value)
    assert (found.top1(1).low, found.top1(1).high) == (0, 0)


def test_what_varies_nowhere_has_no_interval(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each group of three videos has the same one wrong: nothing varies, but a third is hard to round."""
    wrong, right = np.arange(60)[None] % 3 == 0, np.ones((1, 60), bool)
    rows = {"a": ~wrong, "b": right, "c": right}
    specs = tuple(Scored(name, Path(f"{name}.yaml"), row) for name, row in rows.items())
    groups, folds = tuple(f"group{n // 3}" for n in range(60)), np.arange(60)[None] // 12
    found = CrossValidation(specs, groups, folds, 5, (0,))
    assert [found.top1(number).std_error for number in (0, 1)] == [0, 0]
    monkeypatch.setattr("vidcls.campaign.crossval.cross_validate", lambda *_, **__: found)
    result = CliRunner().invoke(app, ["crossval", str(experiment.spec()), "--folds", "5"])
    assert result.exit_code == 0, result.output
    assert result.stdout.count("no interval") == 7, "three specs, their differences, and why"
    assert " +0.0 " in result.stdout
    assert result.stdout.count("not clear") == 1, "a tie would need an interval"
    assert "no interval: all groups of videos and trainings agree, which may be chance" in result.stdout
    assert "<0.001" in result.stdout
    plain = json.loads(CliRunner().invoke(app, ["crossval", str(experiment.spec()), "--json"]).stdout)
    assert {row[end] for row in (*plain["specs"], *plain["pairs"]) for end in ("low", "high")} == {None}


def test_few_groups_are_named() -> None:
    right = Scored("a", Path("a"), np.arange(18)[None] % 3 > 0)
    found = CrossValidation((right,), tuple("abcdefghi" * 2), np.arange(18)[None] % 9 % 5, 5, (0,))
    assert found.warnings() == ["only 9 groups: intervals of fewer than 10 may be too short"]


def test_folds_are_jobs_of_a_queue(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(experiment.folder)
    queued = cross(experiment, "--folds", 2, "--cluster", "local", "--dry-run", "train.epochs=1")
    assert queued.exit_code == 0, queued.output
    jobs = [line for line in queued.stdout.splitlines() if " -m vidcls train " in line]
    assert len(jobs) == 4
    assert "small-cv" in jobs[0]
    assert find_runs(experiment.folder / "runs") == []
    assert cross(experiment, "--folds", 2, "--dry-run").exit_code == 2
    assert cross(experiment, "--folds", 2, "--cluster", "local", "--json").exit_code == 2
    jobs_of = ("--folds", 2, "--cluster", "local", "train.epochs=1")
    assert "4 trainings queued, 0 finished already" in cross(experiment, *jobs_of).stdout
    assert "0 trainings queued" in cross(experiment, *jobs_of).stdout, "each is in the queue, or finished"
    runs = experiment.folder / "runs"
    wait_for(lambda: [run.state for run in find_runs(runs)] == ["finished"] * 4, what="the jobs to end")
    again = cross(experiment, "--folds", 2, "--cluster", "local", "train.epochs=1")
    assert "0 trainings queued, 4 finished already" in again.stdout
    gathered = cross(experiment, "--folds", 2, "train.epochs=1", "--json")
    assert json.loads(gathered.stdout)["num_videos"] == 40


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
        assert "--fold-seeds: expected whole numbers below 2**32, all different" in result.stderr
