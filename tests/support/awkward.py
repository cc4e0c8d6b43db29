"""A real run on videos whose classes have awkward names, and of which one cannot be read."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from tests.support.training import Experiment, train_here
from tests.support.video import moving_square, write_clip
from vidcls.run.folder import Run

CLASSES = ("=1+1", "run, fast", 'say "hi"', "مشي", "🏃 jog")
"""In label order."""
BROKEN = "broken.avi"


def make_awkward(folder: Path) -> Path:
    """A table of two training and two val videos for each class, in groups; one val video more is no video."""
    folder.mkdir(parents=True)
    rows = []
    for label, name in enumerate(CLASSES):
        for number in range(4):
            file = f"v{label}{number}.avi"
            write_clip(folder / file, moving_square(6, 24, 32, seed=10 * label + number), codec="mpeg4")
            rows.append((file, name, "val" if number > 1 else "train", f"g{label}{number // 2}"))
    (folder / BROKEN).write_bytes((folder / "v00.avi").read_bytes()[:200])
    rows.append((BROKEN, CLASSES[0], "val", "alone"))
    with (folder / "videos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split", "group"), *rows])
    return folder / "videos.csv"


def train_awkward(folder: Path) -> Run:
    """Train two epochs on them."""
    experiment = Experiment(folder, make_awkward(folder / "data"))
    return train_here(experiment.spec(data__bad_videos="skip", train__epochs=2))


def copied(run: Run, folder: Path) -> Run:
    """A copy that a test may change."""
    target = folder / run.folder.parent.name / run.folder.name
    shutil.copytree(run.folder, target)
    return Run(target)
