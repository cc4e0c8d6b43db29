"""Processes that talk by sockets where the folder for temporary files has a long path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.training import Experiment
from vidcls.process.sockets import socket_folder
from vidcls.run.find import find_runs


def vidcls(*words: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vidcls", *words]
    environment = os.environ | {"TMPDIR": str(temporary)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_decoders_work_where_temporary_files_have_long_paths(demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 80)
    folder.mkdir()
    done = vidcls("data", "check", str(demo), "--store-dir", str(tmp_path / "store"), temporary=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "60 of 60 videos decode" in done.stdout
    assert not any(folder.glob("pymp-*"))


@pytest.mark.parametrize(("num_characters", "kept"), [(20, True), (71, True), (76, False), (200, False)])
def test_sockets_are_kept_with_temporary_files_where_the_path_is_short(
    num_characters: int, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name) / ("x" * (num_characters - len(name) - 1))
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        assert socket_folder() == (folder if kept else Path("/tmp"))


@pytest.mark.slow
def test_a_sweep_trains_where_temporary_files_have_long_paths(experiment: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 150)
    folder.mkdir()
    spec = experiment.spec(train__epochs=1, tracking__mode="offline")
    sweep = tmp_path / "search.yaml"
    sweep.write_text(
        "method: grid\nparameters: {optim.lr: {values: [0.01, 0.02]}}\n"
        f"command: [vidcls, train, {spec}, '${{args}}']\n"
    )
    words = ("sweep", "launch", str(sweep), "--cluster", "local", "--workers", "1", "--no-check", "--json")
    launched = vidcls(*words, temporary=folder)
    assert launched.returncode == 0, launched.stderr
    place = json.loads(launched.stdout)["folder"]
    watched = vidcls("sweep", "status", place, "--watch", temporary=folder)
    assert "finished  2 of 2 trials" in watched.stdout
    assert len(find_runs(Path(place) / "runs")) == 2
