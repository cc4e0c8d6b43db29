"""Many runs at once: a comparison of a thousand stored runs, and five thousand runs as one table.

Nobody trained these runs; their folders are written by the writers of the package, with settings, logits and
status as after a training. What is measured is a whole command, from key to prompt.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import Result, finish, fresh, spec_of
from vidcls.evaluate.predictions import Predictions
from vidcls.run.folder import Run
from vidcls.run.shapes import Status
from vidcls.spec.fingerprint import fingerprint

NUM_COMPARED, NUM_VIDEOS, NUM_GROUPS, NUM_CLASSES, COMPARE_LIMIT_S = 1000, 120, 45, 10, 10.0
NUM_EXPORTED, EXPORT_LIMIT_S = 5000, 5.0
NUM_SEEDS, TRIES = 5, 3
VIDCLS = str(Path(sys.executable).with_name("vidcls"))
_MANIFEST = "0123456789abcdef"
_PROVENANCE = {
    "code": "0",
    "python": "3.12",
    "versions": {"torch": "2.7", "numpy": "2.0"},
    "host": "node",
    "device": "cpu",
    "processor": "any",
    "started": "2026-01-01T00:00:00+00:00",
    "command": ["vidcls", "train"],
    "threads": 1,
    "precision": "fp32",
    "manifest": {"hash": _MANIFEST, "layout": "table"},
    "data_root": "/nowhere",
    "classes": [f"class{k}" for k in range(NUM_CLASSES)],
    "leaks": {"kind": "clean", "by": "group", "shares": {}, "is_partial": False, "state": "clean"},
    "resumes": [],
}


def run() -> list[Result]:
    """Measure."""
    folder = fresh("study")
    runs = _runs(folder, NUM_EXPORTED)
    for number, each in enumerate(runs[:NUM_COMPARED]):
        _predict(each, number)
    out = folder / "runs.csv"
    export = _seconds(["runs", "export", str(folder / "runs"), "--to", "csv", "--out", str(out), "--force"])
    num_rows = len(out.read_text().splitlines()) - 1
    experiments = dict.fromkeys(str(each.folder.parent) for each in runs[:NUM_COMPARED])
    compare = _seconds(["compare", *experiments])
    return [
        Result(
            f"vidcls compare on {NUM_COMPARED} stored runs of {NUM_VIDEOS} videos",
            f"{compare:.1f} s",
            "under ten seconds",
            compare < COMPARE_LIMIT_S,
            f"{NUM_COMPARED // NUM_SEEDS} configurations of {NUM_SEEDS} seeds, median of {TRIES} processes",
        ),
        Result(
            f"vidcls runs export of {NUM_EXPORTED} runs",
            f"{export:.1f} s, {num_rows} rows",
            "under five seconds",
            export < EXPORT_LIMIT_S and num_rows == NUM_EXPORTED,
            f"CSV, median of {TRIES} processes",
        ),
    ]


def _runs(folder: Path, num: int) -> list[Run]:
    """Finished runs of settings that nobody else has, each with a few seeds."""
    found = []
    for number in range(num // NUM_SEEDS):
        settings = [f"name=study{number // 50}", f"optim.lr={1e-4 * (1 + number):.6g}", "data.root=/nowhere"]
        folders = [f"runs_dir={folder / 'runs'}", f"store_dir={folder / 'store'}"]
        spec = spec_of("late_fusion", [*settings, *folders]).spec
        key = fingerprint(spec, _MANIFEST)
        for seed in range(NUM_SEEDS):
            made = Run.at(spec := spec.model_copy(update={"seed": seed}), key)
            made.create(spec, _PROVENANCE | {"store_dir": str(folder / "store")})
            epochs = spec.train.num_epochs
            metrics = {"val/top1": 0.5, "val/loss": 1.0, "val/top5": 0.9, "val/macro_f1": 0.5}
            made.write_status(Status("finished", epochs, epochs, best_epoch=1, metrics=metrics))
            (made.folder / "checkpoints").mkdir()
            (made.folder / "wandb" / "offline-run").mkdir(parents=True)
            found.append(made)
    return found


def _predict(made: Run, number: int) -> None:
    """Store logits of val, whose true class is ahead more or less often."""
    rng = np.random.default_rng(number)
    labels = np.arange(NUM_VIDEOS) % NUM_CLASSES
    logits = rng.normal(size=(NUM_VIDEOS, NUM_CLASSES)) + (1 + number % 7 / 7) * np.eye(NUM_CLASSES)[labels]
    Predictions(
        ids=tuple(f"class{label}/v_{row:04d}.avi" for row, label in enumerate(labels)),
        labels=labels,
        groups=tuple(f"g{row % NUM_GROUPS:03d}" for row in range(NUM_VIDEOS)),
        views=np.ones_like(labels),
        logits=logits.astype(np.float32),
        classes=tuple(f"class{k}" for k in range(NUM_CLASSES)),
        split="val",
        checkpoint="best",
        epoch=1,
        manifest_hash=_MANIFEST,
    ).save(made.predictions_file("val", "best"))


def _seconds(words: Sequence[str]) -> float:
    """Median time of a command."""
    times = []
    for _ in range(TRIES):
        started = time.perf_counter()
        subprocess.run([VIDCLS, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(finish(run()))
