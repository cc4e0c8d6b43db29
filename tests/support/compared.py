"""Finished runs with stored logits of a chosen accuracy, in groups, as a comparison reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.scored import PROVENANCE, store_logits
from vidcls.run.folder import Run
from vidcls.run.shapes import RunState, Status
from vidcls.spec.experiment import Spec

NUM_CLASSES, NUM_GROUPS, PER_GROUP = 3, 20, 6
NUM_VIDEOS = NUM_GROUPS * PER_GROUP
LABELS = [video % NUM_CLASSES for video in range(NUM_VIDEOS)]
GROUPS = [f"film{video // PER_GROUP}" for video in range(NUM_VIDEOS)]
CLEAN = {"kind": "clean", "by": "group", "shares": {}, "is_partial": False, "state": "clean"}
LEAKY = {
    "kind": "leaky",
    "by": "group",
    "shares": {"val": {"related": 9, "videos": 10}, "test": {"related": 9, "videos": 10}},
    "is_partial": False,
    "state": "leaky 90 %",
}


def finished_run(
    runs_dir: Path,
    name: str,
    *,
    seed: int = 0,
    key: str = "",
    leaks: Mapping[str, Any] = CLEAN,
    settings: Mapping[str, Any] | None = None,
    manifest_hash: str = "abc",
    num_epochs: int = 9,
    state: RunState = "finished",
) -> Run:
    """A run of the configuration `key`, by default one for each name; its data is nowhere."""
    fingerprint = key or f"{sum(map(ord, name)):012x}"
    data = {"root": str(runs_dir / "nowhere")}
    asked: dict[str, Any] = {"name": name, "seed": seed, "model": {"kind": "cnn3d"}, "data": data}
    run = Run(runs_dir / name / f"{fingerprint}-s{seed}")
    run.create(
        Spec.model_validate(asked | dict(settings or {})),
        PROVENANCE
        | {
            "leaks": leaks,
            "manifest": {"hash": manifest_hash},
            "data_root": data["root"],
            "store_dir": str(runs_dir / "store"),
        },
    )
    run.write_status(Status(state, num_epochs, num_epochs, best_epoch=1))
    return run


def logits_with(share: float, *, seed: int, noise: float = 0.0) -> np.ndarray:
    """Logits `[N, K]` that are right for about this share of the videos of each group.

    The same videos are hard for everyone; `noise` is the share of videos for which a run decides on its own.
    """
    hard = np.random.default_rng(1).permuted(
        np.tile(np.arange(PER_GROUP) / PER_GROUP, (NUM_GROUPS, 1)), axis=1
    )
    rng = np.random.default_rng([2, seed])
    own = rng.random(NUM_VIDEOS)
    difficulty = np.where(rng.random(NUM_VIDEOS) < noise, own, hard.ravel())
    right = difficulty < share
    said = np.where(right, LABELS, (np.array(LABELS) + 1 + rng.integers(0, 2, NUM_VIDEOS)) % NUM_CLASSES)
    return np.asarray(3 * np.eye(NUM_CLASSES)[said] + rng.normal(size=(NUM_VIDEOS, NUM_CLASSES)) / 3)


def store(
    runs: Sequence[Run],
    share: float,
    *,
    noise: float = 0.1,
    split: str = "val",
    groups: Sequence[str] = GROUPS,
) -> None:
    """Store logits of runs that are right for about this share of the videos."""
    for number, run in enumerate(runs):
        seed = number + 100 * len(run.folder.parent.name) + ord(run.folder.parent.name[0])
        store_logits(run, logits_with(share, seed=seed, noise=noise), LABELS, split=split, groups=groups)


def configuration(
    runs_dir: Path, name: str, share: float, *, num_seeds: int = 3, noise: float = 0.1, **facts: Any
) -> list[Run]:
    """Finished runs of one configuration with stored logits of val."""
    runs = [finished_run(runs_dir, name, seed=seed, **facts) for seed in range(num_seeds)]
    store(runs, share, noise=noise)
    return runs
