"""A head on stored features against its backbone in the loop; the best recipe from nothing; heads swept over.

The loop has what training without stored features has: frames in the store, a random crop drawn anew in each
epoch, the backbone without gradients. Both are `vidcls train`, one epoch after the other.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.common import REPOSITORY, Quiet, Result, finish, fresh, motion10, real_data, spec_of, subset
from vidcls.training.run_training import Options, train

TARGET = 50.0
COLD_TARGET_S = 1800.0
SWEEP_TARGET_S = 600.0
NUM_TRAIN, NUM_VAL = 64, 16
VIDCLS = Path(sys.executable).with_name("vidcls")


def run() -> list[Result]:
    """Measure."""
    data = real_data("ufc10") or motion10()
    folder = fresh("features")
    few = subset(data, folder / "few.csv", amounts={"train": NUM_TRAIN, "val": NUM_VAL})
    in_loop = _clips_per_s(folder, "loop", few, "train.epochs=3", "augment.crop=random_resized")
    stored = _clips_per_s(folder, "stored", data.root, "train.epochs=20")
    ratio = stored / in_loop
    return [
        Result(
            "a head on stored features",
            f"{ratio:.0f} times the clips a second",
            f"at least {TARGET:g} times the backbone in the loop",
            ratio >= TARGET,
            f"{stored:.0f} to {in_loop:.2f} clips/s, {data.name}, few_videos_frozen: 16 frames of 224 px",
        ),
        *_recipe(folder, data.root if data.is_demo else data.root / "clean_split.csv"),
    ]


def _clips_per_s(folder: Path, name: str, root: Path, *overrides: str) -> float:
    rates: list[float] = []
    loaded = spec_of(
        "few_videos_frozen",
        [
            *(f"name={name}", f"data.root={root}", f"runs_dir={folder}/runs", f"store_dir={folder}/store"),
            *("tracking.mode=disabled", *overrides),
        ],
    )
    train(loaded, options=Options(), display=Quiet(lambda row: rates.append(row["clips_per_s"])))
    return statistics.median(rates[1:])


def _recipe(folder: Path, root: Path) -> list[Result]:
    """The installed command trains the recipe with nothing decoded yet, then sweeps over heads."""
    experiment = REPOSITORY / "experiments" / "few_videos.yaml"
    places = [f"data.root={root}", f"runs_dir={folder}/runs", f"store_dir={folder}/cold"]
    started = time.perf_counter()
    subprocess.run(
        [str(VIDCLS), "train", str(experiment), *places], cwd=folder, capture_output=True, check=True
    )
    cold_s = time.perf_counter() - started
    cold = Result(
        "few_videos from an empty cache",
        f"{cold_s / 60:.1f} min",
        f"at most {COLD_TARGET_S / 60:g} min",
        cold_s <= COLD_TARGET_S,
        "decoding, features of two streams, 40 epochs of the head; `vidcls train` as a whole",
    )
    return [cold, _sweep(folder, root)]


def _sweep(folder: Path, root: Path) -> Result:
    """The shipped sweep over heads by the installed command, from launch to the last trial."""
    sweep = yaml.safe_load((REPOSITORY / "sweeps" / "few_videos_heads.yaml").read_text())
    experiment = sweep["command"].index("experiments/few_videos.yaml")
    sweep["command"][experiment] = str(REPOSITORY / "experiments" / "few_videos.yaml")
    for key, value in (
        ("data.root", root),
        ("runs_dir", folder / "runs"),
        ("store_dir", folder / "cold"),
    ):
        sweep["parameters"][key] = {"value": str(value)}
    file = folder / "heads.yaml"
    file.write_text(yaml.safe_dump(sweep, sort_keys=False))
    started = time.perf_counter()
    words = [str(VIDCLS), "sweep", "launch", str(file), "--cluster", "local", "--workers", "2", "--json"]
    launched = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    place = json.loads(launched.stdout)["folder"]
    status = _wait(Path(folder, place))
    took_s = time.perf_counter() - started
    best = status["best"][0]["value"]
    return Result(
        f"{status['counts']['finished']} trials over heads",
        f"{took_s:.0f} s",
        f"at most {SWEEP_TARGET_S:g} s for 100",
        took_s <= SWEEP_TARGET_S and status["counts"]["finished"] == sweep["run_cap"],
        f"bayes, 2 workers, on the features that the training before has stored; best val top-1 {best:.3f}",
    )


def _wait(place: Path) -> dict[str, Any]:
    while True:
        words = [str(VIDCLS), "sweep", "status", str(place), "--json"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        status: dict[str, Any] = json.loads(said)
        if status["state"] == "finished":
            return status
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(finish(run()))
