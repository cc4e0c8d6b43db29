"""The leak state stands beside every accuracy of a run, and training on data that leaks is told once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.training import Experiment
from vidcls.cli import app
from vidcls.data.manifest import Manifest, Video, read_manifest
from vidcls.leaks.run_state import leaks_of
from vidcls.leaks.state import LeakState, remember
from vidcls.run.find import find_runs
from vidcls.spec.data import DataSection


def vidcls(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def group_of(video: Video) -> str | None:
    """Of val one class shares its group with train."""
    return video.split if video.split != "val" or video.label else "train"


@pytest.fixture
def manifest(experiment: Experiment) -> Manifest:
    return read_manifest(DataSection(root=str(experiment.data)), cache_dir=None)


@pytest.mark.long
def test_a_run_on_leaking_data_says_so_wherever_its_accuracy_stands(
    experiment: Experiment, manifest: Manifest
) -> None:
    csv = experiment.folder / "leaky.csv"
    replace(manifest, videos=tuple(replace(v, group=group_of(v)) for v in manifest.videos)).write_csv(csv)
    trained = vidcls("train", experiment.spec(data__root=str(csv), train__epochs=1))
    assert trained.exit_code == 0, trained.output
    assert trained.stderr.count("this data leaks: 2 of 20 val videos have a relative in train") == 1
    assert f"vidcls data split {csv}" in trained.stderr
    assert "(leak state: leaky 10 %) at epoch 1/1" in trained.stdout
    run = experiment.run()
    assert run.provenance()["leaks"]["shares"]["val"] == {"related": 2, "videos": 20}
    report = json.loads((run.report_dir("val", "best") / "metrics.json").read_text())
    assert report["leak_state"] == "leaky 10 %"
    (row,) = json.loads(vidcls("runs", "ls", experiment.folder / "runs", "--json").stdout)
    assert row["leak_state"] == "leaky 10 %"
    assert "leaky 10 %" in vidcls("runs", "ls", experiment.folder / "runs").stdout
    assert vidcls("evaluate", run.folder).stdout.count("leaky 10 %") == 2
    on_test = json.loads(vidcls("evaluate", run.folder, "--split", "test", "--json").stdout)
    assert on_test["evaluations"][0]["leak_state"] == "clean"


def test_an_audit_after_the_training_is_heard(experiment: Experiment, manifest: Manifest) -> None:
    csv = experiment.folder / "unknown.csv"
    # Names tell groups too.
    nameless = [
        replace(video, path=experiment.folder / f"{number}{video.path.suffix}", group=None)
        for number, video in enumerate(manifest.videos)
    ]
    for video, copy in zip(manifest.videos, nameless, strict=True):
        copy.path.symlink_to(video.path)
    replace(manifest, videos=tuple(nameless)).write_csv(csv)
    trained = vidcls("train", experiment.spec(data__root=str(csv), train__epochs=1), "--json")
    assert json.loads(trained.stdout)["leak_state"] == "unknown"
    assert "this data leaks" not in trained.stderr
    (run,) = find_runs(experiment.folder / "runs")
    store_dir = Path(run.provenance()["store_dir"])
    found = LeakState.of({"val": (19, 20), "test": (0, 20)}, by="content")
    remember(found, store_dir=store_dir, manifest_hash=run.provenance()["manifest"]["hash"])
    assert str(leaks_of(run)) == "leaky 95 %"
