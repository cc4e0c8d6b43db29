"""Runs with stored logits that nobody trained: of videos, classes and logits that a test chooses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidcls.evaluate.predictions import Predictions, UnscoredVideo
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.experiment import Spec

UNKNOWN = {"kind": "unknown", "by": "none", "shares": {}, "is_partial": False, "state": "unknown"}
PROVENANCE = {
    "code": "0",
    "versions": {},
    "device": "cpu",
    "processor": "any",
    "threads": 1,
    "precision": "fp32",
    "leaks": UNKNOWN,
    "resumes": [],
}
"""What a run says of itself, but for its data."""


def make_run(
    folder: Path,
    *,
    name: str,
    manifest_hash: str = "abc",
    root: Path | None = None,
    seed: int = 0,
    key: str = "0123456789ab",
    **sections: Any,
) -> Run:
    """A run below `folder/runs/<name>`; its data may be nowhere.

    Args:
        folder: Folder of runs and store.
        name: Name of the experiment.
        manifest_hash: Hash of its data.
        root: Root of its data.
        seed: Its seed.
        key: Fingerprint of its configuration.
        sections: Sections of its spec, such as `optim={"lr": 0.1}`.
    """
    data = root or folder / "nowhere"
    settings = {"name": name, "seed": seed, "model": {"kind": "cnn3d"}, "data": {"root": str(data)}}
    run = Run(folder / "runs" / name / f"{key}-s{seed}")
    run.create(
        Spec.model_validate_json(json.dumps(settings | sections)),
        PROVENANCE
        | {
            "manifest": {"hash": manifest_hash},
            "data_root": str(data),
            "store_dir": str(folder / "store"),
        },
    )
    return run


def store_logits(
    run: Run,
    logits: np.ndarray,
    labels: Sequence[int],
    *,
    split: str = "val",
    ids: Sequence[str] = (),
    classes: Sequence[str] = (),
    unscored: dict[str, str] | None = None,
    groups: Sequence[str] = (),
    checkpoint: Checkpoint = "best",
    epoch: int | None = None,
) -> None:
    """Store what a checkpoint of the run says of a split: logits `[N, K]`; without groups, none is known."""
    status = run.status()
    if epoch is None and status is not None:
        epoch = status.best_epoch if checkpoint == "best" else status.epoch
    Predictions(
        ids=tuple(ids) or tuple(f"v{number}" for number in range(len(labels))),
        labels=np.array(labels, dtype=np.int64),
        groups=tuple(groups) or ("",) * len(labels),
        views=np.ones(len(labels), dtype=np.int64),
        logits=np.asarray(logits, dtype=np.float32),
        classes=tuple(classes) or tuple(f"class{k}" for k in range(np.shape(logits)[1])),
        split=split,
        checkpoint=checkpoint,
        epoch=1 if epoch is None else epoch,
        manifest_hash=run.provenance()["manifest"]["hash"],
        unscored_videos=tuple(UnscoredVideo(name, why, 0) for name, why in (unscored or {}).items()),
    ).save(run.predictions_file(split, checkpoint))
