"""From `vidcls data scan` to a trained run, on the layouts of the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.roots import CLASSES, Clip, build, named, put, write_csv
from tests.support.training import Child, Experiment
from vidcls.cli import app
from vidcls.evaluate.predictions import load_predictions


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store: the layouts hold the same videos, which are decoded once."""
    return tmp_path_factory.mktemp("store")


def _train(spec: str, output: str) -> None:
    result = CliRunner().invoke(app, ["train", spec, "--device", "cpu"])
    Path(output).write_text(f"{result.output}{result.exception or ''}")
    raise SystemExit(result.exit_code)


def _flat_with_table(root: Path, clips: tuple[Clip, ...]) -> Path:
    for clip in clips:
        put(clip, root / clip.name, as_frames=False)
    return write_csv(root / "labels.csv", ("path", "label"), [(f"{c.name}.avi", c.action) for c in clips])


@pytest.mark.long
@pytest.mark.parametrize("layout", ["csv-flat", "kinetics-flat", "hmdb51-videos", "ssv2-videos"])
def test_from_scan_to_a_trained_run(
    layout: str, clips: tuple[Clip, ...], tmp_path: Path, store: Path
) -> None:
    folder = tmp_path / "root"
    root = _flat_with_table(folder, clips) if layout == "csv-flat" else build(layout, folder, clips)

    result = CliRunner().invoke(app, ["data", "scan", str(root), "--json"])
    assert result.exit_code == 0, result.output
    seen: dict[str, Any] = json.loads(result.stdout)
    assert seen["layout"].partition(" ")[0] == layout.partition("-")[0]
    assert set(seen["classes"]) == set(CLASSES)
    assert seen["num_videos"] == len(clips)

    experiment = Experiment(tmp_path, root)
    spec = experiment.spec(
        train__epochs=1, clip__frames=2, clip__size=[16, 16], train__keep_last=False, store_dir=str(store)
    )
    output = tmp_path / "output.txt"
    child = Child(target=_train, args=(str(spec), str(output)))  # a training has a process of its own
    child.start()
    child.join()
    assert child.exitcode == 0, output.read_text()
    run = experiment.run()
    assert run.state == "finished"
    scored = load_predictions(run.predictions_file("val", "best")).ids
    assert len(scored) == 6
    if layout.startswith(("kinetics", "ssv2")):
        names = {clip.name for clip in named(layout, clips) if clip.split == "val"}
        assert set(scored) == names
