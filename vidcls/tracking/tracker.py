"""What the training loop sees of a tracker, and the one that does nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vidcls.text import printable
from vidcls.tracking.jsonl import Row


@dataclass(frozen=True)
class Preview:
    """A clip as the model saw it, with the answer.

    Attributes:
        video: Id of the video.
        clip: uint8 RGB `[T, H, W, 3]`.
        label: Name of the true class.
        prediction: Name of the predicted class.
        probability: What the model gives `prediction`, 0 to 1.
    """

    video: str
    clip: np.ndarray
    label: str
    prediction: str
    probability: float

    @property
    def caption(self) -> str:
        """One line under the clip."""
        text = f"{self.video}: {self.prediction} ({self.probability:.0%}), truth: {self.label}"
        return printable(text)


class Tracker(Protocol):
    """Where a run is mirrored to. No method raises, and only `finish` waits."""

    def log(self, row: Row) -> None:
        """Mirrors one row of `metrics.jsonl`: every row, once, in the file's order."""

    def log_previews(self, previews: Sequence[Preview]) -> None:
        """Shows clips with their predictions, with the next row."""

    def log_confusion(self, counts: np.ndarray, classes: Sequence[str]) -> None:
        """Shows a confusion matrix, int `[K true, K predicted]`, with the next row."""

    def log_checkpoint(self, path: Path, *, metrics: Mapping[str, float]) -> None:
        """Uploads the best checkpoint; call once, when no better one can come."""

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Sets what a table of runs shows of this one."""

    def finish(self, *, exit_code: int, preempted: bool = False) -> None:
        """Ends the record; `preempted` says that the queue will start the run again."""


class NullTracker:
    """Tracks nothing."""

    def log(self, row: Row) -> None:
        """Does nothing."""

    def log_previews(self, previews: Sequence[Preview]) -> None:
        """Does nothing."""

    def log_confusion(self, counts: np.ndarray, classes: Sequence[str]) -> None:
        """Does nothing."""

    def log_checkpoint(self, path: Path, *, metrics: Mapping[str, float]) -> None:
        """Does nothing."""

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Does nothing."""

    def finish(self, *, exit_code: int, preempted: bool = False) -> None:
        """Does nothing."""
