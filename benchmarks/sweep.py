"""A sweep of short trials with two workers against the bare trainings, and against separate commands.

Twenty trials over motion10 through the installed command, from `vidcls sweep launch` until the last trial has
ended. Bare is `train` called on the same specs, one after the other, in two processes that are warmed up:
half the sum of their seconds is what two workers would take that cost nothing. Separate is `vidcls train`
as a person would type it, two at a time. All train on one thread with a warm store; sweep and bare take
turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import yaml

from benchmarks.common import CACHE, REPOSITORY, Quiet, Result, finish, fresh, motion10
from vidcls.spec.load import load_spec
from vidcls.sweep.space.space import overrides
from vidcls.sweep.status import SweepObserver
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.trials import Trial
from vidcls.training.run_training import Options, train

TARGET, CLEARLY = 1.10, 0.90
ROUNDS, NUM_WORKERS, NUM_TRIALS = 1, 2, 20
VIDCLS = str(Path(sys.executable).with_name("vidcls"))
GRID = {
    "optim.lr": {"values": [0.0003, 0.001, 0.003, 0.006, 0.01]},
    "model.dropout": {"values": [0.0, 0.1, 0.2, 0.3]},
}
SETTINGS = ("clip.frames=4", "clip.size=[36, 48]", "train.epochs=6", "train.threads=1")


def run() -> list[Result]:
    """Measure."""
    folder = fresh("sweep")
    settings = (*SETTINGS, f"data.root={motion10().root}", f"store_dir={CACHE}", "tracking.mode=offline")
    swept_s: list[float] = []
    bare_s: list[float] = []
    with ProcessPoolExecutor(NUM_WORKERS, mp_context=get_context("spawn")) as pool:
        spec = REPOSITORY / "experiments" / "cnn3d.yaml"
        warm_up = [
            (*settings, "train.epochs=1", f"seed={k}", f"runs_dir={folder}") for k in range(NUM_WORKERS)
        ]
        list(pool.map(_train_all, [spec] * NUM_WORKERS, [[words] for words in warm_up]))
        for number in range(ROUNDS):
            sweep, wall_s = _sweep(folder / f"sweep{number}", settings)
            swept_s.append(wall_s)
            shares = [_requests(sweep, folder / f"bare{number}")[k::NUM_WORKERS] for k in range(NUM_WORKERS)]
            seconds = pool.map(_train_all, [sweep.base_file] * NUM_WORKERS, shares)
            bare_s.append(sum(seconds) / NUM_WORKERS)
    separate_s = _separate_s(sweep.base_file, _requests(sweep, folder / "separate"))
    ratios = [ours / bare for ours, bare in zip(swept_s, bare_s, strict=True)]
    each_s = statistics.mean(bare_s) * NUM_WORKERS / NUM_TRIALS
    what = f"{NUM_TRIALS} trials of {each_s:.1f} s, cnn3d on motion10, {NUM_WORKERS} workers of one thread"
    against_separate = statistics.mean(swept_s) / separate_s
    return [
        Result(
            "sweep against bare trainings",
            f"{statistics.mean(ratios):.3f} ({', '.join(f'{ratio:.3f}' for ratio in ratios)})",
            f"at most {TARGET:.2f} of their sum over {NUM_WORKERS}",
            statistics.mean(ratios) <= TARGET,
            f"{_listing(swept_s)} to {_listing(bare_s)} s; {what}",
        ),
        Result(
            "sweep against separate commands",
            f"{against_separate:.3f}",
            f"at most {CLEARLY:.2f} of {NUM_TRIALS} `vidcls train`, {NUM_WORKERS} at a time",
            against_separate <= CLEARLY,
            f"{_listing(swept_s)} to {separate_s:.1f} s; {what}",
        ),
    ]


def _listing(seconds: Sequence[float]) -> str:
    return " and ".join(f"{value:.1f}" for value in seconds)


def _sweep(folder: Path, settings: Sequence[str]) -> tuple[SweepFolder, float]:
    """Launch the sweep and wait until all trials have ended; its folder and the seconds it took."""
    folder.mkdir()
    file = folder / "sweep.yaml"
    command = ["vidcls", "train", "experiments/cnn3d.yaml", *settings, "${args}"]
    metric = {"name": "val/top1", "goal": "maximize"}
    content = {"method": "grid", "metric": metric, "parameters": GRID, "command": command}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    words = ["sweep", "launch", str(file), f"runs_dir={folder / 'runs'}", "--cluster", "local"]
    started = time.perf_counter()
    answer = _vidcls([*words, "--workers", str(NUM_WORKERS), "--json"])
    sweep = SweepFolder(Path(json.loads(answer)["folder"]))
    observer = SweepObserver(sweep)
    while (state := observer.look().state) == "running":
        time.sleep(0.2)  # a look costs milliseconds
    if state != "finished":
        raise SystemExit(f"{sweep.path}: {state}")
    return sweep, time.perf_counter() - started


def _requests(sweep: SweepFolder, runs: Path) -> list[tuple[str, ...]]:
    """The overrides that make each trial's spec of the sweep's experiment, with runs of their own."""

    def words(trial: Trial) -> tuple[str, ...]:
        return (*overrides(dict(trial.point)), f"seed={trial.seed}", f"runs_dir={runs}")

    return [words(trial) for trial in sweep.trials().refresh()]


def _train_all(base: Path, requests: Sequence[Sequence[str]]) -> float:
    """Train specs one after the other in this process; the seconds."""
    started = time.perf_counter()
    for words in requests:
        train(load_spec(base, words), options=Options(), display=Quiet(lambda _row: None))
    return time.perf_counter() - started


def _separate_s(base: Path, requests: Sequence[Sequence[str]]) -> float:
    """Seconds of as many `vidcls train`, as many at a time as there are workers."""
    started = time.perf_counter()
    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        list(threads.map(lambda words: _vidcls(["train", str(base), *words]), requests))
    return time.perf_counter() - started


def _vidcls(words: Sequence[str]) -> str:
    done = subprocess.run([VIDCLS, *words], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(finish(run()))
