"""The example of the README: six heads with five seeds each on real videos, by a sweep and `vidcls compare`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from vidcls.sweep.storage.folder import SweepFolder, find_sweeps

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
VIDCLS = str(Path(sys.executable).with_name("vidcls"))


def vidcls(*args: object, cwd: Path) -> str:
    done = subprocess.run([VIDCLS, *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def num_finished(folder: SweepFolder) -> int:
    return sum(trial.state == "finished" for trial in folder.trials().refresh())


@pytest.mark.slow
def test_the_readmes_six_configurations_on_real_videos(shared: Path, tmp_path: Path) -> None:
    """Another processor may give other numbers, so what must be equal is the design and the form of the words."""
    for name in ("experiments", "sweeps"):
        shutil.copytree(ROOT / name, tmp_path / name)
    sweep, data = "sweeps/few_videos_models.yaml", f"data.root={shared / 'ufc10' / 'clean_split.csv'}"
    vidcls("sweep", "launch", sweep, data, "--repeats", 5, "--workers", 2, "--cluster", "local", cwd=tmp_path)
    (folder,) = find_sweeps(tmp_path / "runs")
    for number in range(1, 31):
        wait_for(lambda number=number: num_finished(folder) >= number, what=f"{number} trials")
    compare = ("compare", "few_videos_models", "--checkpoint", "last")
    found = json.loads(vidcls(*compare, "--json", cwd=tmp_path))
    assert [len(one["seeds"]) for one in found["configurations"]] == [5] * 6
    assert {one["configuration"] for one in found["configurations"]} == set(
        re.findall(r"^  1-6  (.+?)  +5  ", README, re.MULTILINE)
    )
    assert "5 seeds each, 80 val videos in 28 groups, clean data, last epoch" in found["verdict"]
    assert vidcls(*compare, cwd=tmp_path).splitlines()[0] == found["verdict"]
