"""Logits of each video on disk, the source of all later results; a NumPy archive without pickles.

Beside the logits of a video stands all that a later verdict needs: its class, its group, and its number of
views. So results are compared without the videos, their manifest, or torch.
"""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidcls.errors import VidclsError
from vidcls.evaluate.metrics import Metrics, compute_metrics
from vidcls.files import atomic_file, disk_full, is_disk_full

FORMAT = 2
_FIRST_FORMAT = 1
_KINDS = {
    "format": "i",
    "ids": "U",
    "labels": "i",
    "groups": "U",
    "views": "i",
    "logits": "f",
    "classes": "U",
    "split": "U",
    "checkpoint": "U",
    "epoch": "i",
    "manifest_hash": "U",
    "unscored_ids": "U",
    "unscored_reasons": "U",
    "unscored_labels": "i",
    "unscored_groups": "U",
}


@dataclass(frozen=True)
class UnscoredVideo:
    """Video of a split that has no logits.

    Attributes:
        id: Id of the video.
        reason: Reason why it could not be scored.
        label: True class.
        group: Source from which the video was cut; empty if it is not known.
    """

    id: str
    reason: str
    label: int
    group: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """Predictions of a checkpoint for every video of a split: logits, or the reason why there are none.

    Attributes:
        ids: Ids of the scored videos, in the order of the manifest.
        labels: True classes, int64 `[N]`.
        groups: Source from which each scored video was cut; empty text if it is not known.
        views: Number of clips of each scored video whose logits were averaged, int64 `[N]`.
        logits: float32 `[N, K]`.
        classes: Class names in label order.
        split: `train`, `val` or `test`.
        checkpoint: `best` or `last`.
        epoch: Epochs after which the checkpoint was written; of a fusion, that of its first run.
        manifest_hash: Hash of the manifest of the requested videos.
        unscored_videos: Videos that could not be scored.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    groups: tuple[str, ...]
    views: np.ndarray
    logits: np.ndarray
    classes: tuple[str, ...]
    split: str
    checkpoint: str
    epoch: int
    manifest_hash: str
    unscored_videos: tuple[UnscoredVideo, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.classes))
        if self.logits.shape != shape or self.labels.shape != shape[:1]:
            raise ValueError(f"expected logits {shape}, got {self.logits.shape}, labels {self.labels.shape}")
        if len(self.groups) != len(self.ids) or self.views.shape != shape[:1]:
            raise ValueError("expected a group and a number of views for each scored video")
        if self.logits.dtype != np.float32 or {self.labels.dtype, self.views.dtype} != {np.dtype(np.int64)}:
            raise ValueError("expected logits in float32, labels and views in int64")
        unscored = {video.id for video in self.unscored_videos}
        if len(unscored.union(self.ids)) != len(self.ids) + len(self.unscored_videos):
            raise ValueError("a video is listed twice")
        labels = [*self.labels.tolist(), *(video.label for video in self.unscored_videos)]
        if labels and not 0 <= min(labels) <= max(labels) < len(self.classes):
            raise ValueError("a label is not among the classes")
        if self.ids and self.views.min() < 1:
            raise ValueError("a scored video has no view")

    @property
    def unscored(self) -> dict[str, str]:
        """Reason why a video could not be scored, by id."""
        return {video.id: video.reason for video in self.unscored_videos}

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
            "groups": np.array(self.groups, dtype=np.str_),
            "views": self.views,
            "logits": self.logits,
            "classes": np.array(self.classes, dtype=np.str_),
            "split": np.array(self.split),
            "checkpoint": np.array(self.checkpoint),
            "epoch": np.array(self.epoch),
            "manifest_hash": np.array(self.manifest_hash),
            "unscored_ids": np.array([video.id for video in self.unscored_videos], dtype=np.str_),
            "unscored_reasons": np.array([video.reason for video in self.unscored_videos], dtype=np.str_),
            "unscored_labels": np.array([video.label for video in self.unscored_videos], dtype=np.int64),
            "unscored_groups": np.array([video.group for video in self.unscored_videos], dtype=np.str_),
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
        VidclsError: If the file is missing, damaged, of an earlier format, or not a file of vidcls; the hint
            is the command that scores the videos again.
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
    raise VidclsError(f"{path}: {problem}", hint=f"score the videos again: {_command(path)}")


def _command(path: Path) -> str:
    """Command that writes the predictions file of a run again; the path has all that it needs."""
    split, _, checkpoint = path.stem.rpartition("-")
    if path.parent.name != "predictions" or not split:
        return "vidcls evaluate RUN --anew"
    words = ["vidcls", "evaluate", str(path.parents[1]), "--split", split, "--checkpoint", checkpoint]
    return shlex.join([*words, "--anew"])


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> Predictions:
    if "format" in arrays and arrays["format"].shape == () and arrays["format"].item() == _FIRST_FORMAT:
        raise ValueError("written by an earlier version of vidcls, without the groups of the videos")
    kinds = {name: array.dtype.kind for name, array in arrays.items()}
    if kinds != _KINDS:
        wrong = sorted(name for name in kinds.keys() | _KINDS.keys() if kinds.get(name) != _KINDS.get(name))
        raise ValueError(f"missing, unknown or of another type: {', '.join(wrong)}")
    if arrays["format"].item() != FORMAT:
        raise ValueError(f"format {arrays['format']}, this version reads {FORMAT}")
    unscored = [arrays[f"unscored_{name}"].tolist() for name in ("ids", "reasons", "labels", "groups")]
    return Predictions(
        ids=tuple(arrays["ids"].tolist()),
        labels=arrays["labels"],
        groups=tuple(arrays["groups"].tolist()),
        views=arrays["views"],
        logits=arrays["logits"],
        classes=tuple(arrays["classes"].tolist()),
        split=arrays["split"].item(),
        checkpoint=arrays["checkpoint"].item(),
        epoch=arrays["epoch"].item(),
        manifest_hash=arrays["manifest_hash"].item(),
        unscored_videos=tuple(UnscoredVideo(*each) for each in zip(*unscored, strict=True)),
    )
