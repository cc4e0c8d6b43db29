"""Logits of each video on disk, the source of all later results; a NumPy archive without pickles."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidcls.errors import VidclsError
from vidcls.evaluate.metrics import Metrics, compute_metrics
from vidcls.files import atomic_file, disk_full, is_disk_full

FORMAT = 1
_KINDS = {
    "format": "i",
    "ids": "U",
    "labels": "i",
    "logits": "f",
    "classes": "U",
    "split": "U",
    "checkpoint": "U",
    "manifest_hash": "U",
    "unscored_ids": "U",
    "unscored_reasons": "U",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """Predictions of a checkpoint for every video of a split: logits, or the reason why there are none.

    Attributes:
        ids: Ids of the scored videos, in the order of the manifest.
        labels: True classes, int64 `[N]`.
        logits: float32 `[N, K]`.
        classes: Class names in label order.
        split: `train`, `val` or `test`.
        checkpoint: `best` or `last`.
        manifest_hash: Hash of the manifest of the requested videos.
        unscored: Reason why a video could not be scored, by id.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    classes: tuple[str, ...]
    split: str
    checkpoint: str
    manifest_hash: str
    unscored: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.classes))
        if self.logits.shape != shape or self.labels.shape != shape[:1]:
            raise ValueError(f"expected logits {shape}, got {self.logits.shape}, labels {self.labels.shape}")
        if self.logits.dtype != np.float32 or self.labels.dtype != np.int64:
            raise ValueError("expected logits in float32 and labels in int64")
        if len(set(self.ids) | set(self.unscored)) != len(self.ids) + len(self.unscored):
            raise ValueError("a video is listed twice")
        if not np.isin(self.labels, np.arange(len(self.classes))).all():
            raise ValueError("a label is not among the classes")

    def metrics(self) -> Metrics:
        """Metrics over the scored videos."""
        return compute_metrics(self.logits, self.labels, classes=self.classes)

    def save(self, path: Path) -> None:
        """Write an `.npz` file whole or not at all; equal content gives equal bytes.

        Raises:
            VidclsError: If the disk is full.
        """
        arrays = {
            "format": np.array(FORMAT),
            "ids": np.array(self.ids, dtype=np.str_),
            "labels": self.labels,
            "logits": self.logits,
            "classes": np.array(self.classes, dtype=np.str_),
            "split": np.array(self.split),
            "checkpoint": np.array(self.checkpoint),
            "manifest_hash": np.array(self.manifest_hash),
            "unscored_ids": np.array(list(self.unscored), dtype=np.str_),
            "unscored_reasons": np.array(list(self.unscored.values()), dtype=np.str_),
        }
        try:
            with atomic_file(path) as file:
                np.savez(file, allow_pickle=False, **arrays)
        except OSError as error:
            if is_disk_full(error):
                raise disk_full(path, kept="the previous file is intact", cause=error) from error
            raise


def load_predictions(path: Path) -> Predictions:
    """Read a file that `Predictions.save` wrote.

    Raises:
        VidclsError: If the file is missing, damaged, or not a file of vidcls.
    """
    try:
        with path.open("rb") as file:
            archive = np.lib.npyio.NpzFile(file, allow_pickle=False)
            arrays = {name: archive[name] for name in archive.files}
        return _from_arrays(arrays)
    except FileNotFoundError:
        problem = "no such file"
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        problem = f"not readable as predictions: {error}"
    raise VidclsError(f"{path}: {problem}", hint="score the videos again: vidcls evaluate RUN")


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> Predictions:
    kinds = {name: array.dtype.kind for name, array in arrays.items()}
    if kinds != _KINDS:
        wrong = sorted(name for name in kinds.keys() | _KINDS.keys() if kinds.get(name) != _KINDS.get(name))
        raise ValueError(f"missing, unknown or of another type: {', '.join(wrong)}")
    if arrays["format"].item() != FORMAT:
        raise ValueError(f"format {arrays['format']}, this version reads {FORMAT}")
    return Predictions(
        ids=tuple(arrays["ids"].tolist()),
        labels=arrays["labels"],
        logits=arrays["logits"],
        classes=tuple(arrays["classes"].tolist()),
        split=arrays["split"].item(),
        checkpoint=arrays["checkpoint"].item(),
        manifest_hash=arrays["manifest_hash"].item(),
        unscored=dict(zip(arrays["unscored_ids"].tolist(), arrays["unscored_reasons"].tolist(), strict=True)),
    )
