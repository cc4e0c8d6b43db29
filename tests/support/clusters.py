"""The installed command line against a queue, as a person would type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.waiting import wait_for
from vidcls.launch.queue import AnyProfile
from vidcls.spec.show import plain
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.trials import FINAL


def vidcls(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the installed `vidcls`."""
    command = [str(Path(sys.executable).with_name("vidcls")), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def said(*words: object) -> Any:
    """What the installed `vidcls` says with --json."""
    done = vidcls(*words, "--json")
    assert done.returncode in (0, 3), done.stderr
    return json.loads(done.stdout)


def profile_file(profile: AnyProfile, folder: Path) -> Path:
    """A profile as the file that `--cluster` names; its jobs see no GPU."""
    path = folder / f"{profile.queue}.yaml"
    content = {key: value for key, value in plain(profile).items() if value is not None}
    path.write_text(yaml.safe_dump({**content, "env": {"CUDA_VISIBLE_DEVICES": ""}}))
    return path


def launched(file: Path, profile: Path, *options: object) -> SweepFolder:
    """A sweep in a queue, without the look before: what is launched here is right, and time is short."""
    words = ("sweep", "launch", file, "--cluster", profile, "--no-check", *options)
    return SweepFolder(Path(said(*words)["folder"]))


def wait_until_finished(folder: SweepFolder) -> Any:
    """Ask `vidcls sweep status` whenever another trial has ended, until all have; its last word."""
    trials, num_seen = folder.trials(), -1

    def look() -> Any:
        nonlocal num_seen
        states = [trial.state for trial in trials.refresh()]
        num_ended = sum(state in FINAL for state in states)
        if num_ended == num_seen and num_ended < len(states):
            return None  # each command takes a second that the trials could use
        num_seen = num_ended
        status = said("sweep", "status", folder.path)
        assert status["state"] in ("running", "finished"), status
        return status if status["state"] == "finished" else None

    return wait_for(look, what=f"{folder.path} to finish")
