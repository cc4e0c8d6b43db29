"""Tracker interface of the training loop, and a tracker that does nothing."""

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
    """Clip as the model saw it, with the prediction.

    Attributes:
        video: Id of the video.
        clip: uint8 RGB `[T, H, W, 3]`.
        label: Name of the true class.
        prediction: Name of the predicted class.
        probability: Probability of `prediction` by the model, 0 to 1.
    """

    video: str
    clip: np.ndarray
    label: str
    prediction: str
    probability: float

    @property
    def caption(self) -> str:
        """Caption of the clip in one line."""
        text = f"{self.video}: {self.prediction} ({self.probability:.0%}), truth: {self.label}"
        return printable(text)


class Tracker(Protocol):
    """Interface of a service to which a run is mirrored. No method raises, and only `finish` waits."""

    def log(self, row: Row) -> None:
        """Mirror one row of `metrics.jsonl`: every row, once, in the order of the file."""

    def log_previews(self, previews: Sequence[Preview]) -> None:
        """Show clips with their predictions, with the next row."""

    def log_confusion(self, counts: np.ndarray, classes: Sequence[str]) -> None:
        """Show a confusion matrix, int `[K true, K predicted]`, with the next row."""

    def log_checkpoint(self, path: Path, *, metrics: Mapping[str, float]) -> None:
        """Upload the best checkpoint; call once, when no better one can follow."""

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Set the values of this run in a table of runs."""

    def finish(self, *, exit_code: int, preempted: bool = False) -> None:
        """End the record; `preempted` means that the queue will start the run again."""


class NullTracker:
    """Tracker that does nothing."""

    def log(self, row: Row) -> None:
        """Do nothing."""

    def log_previews(self, previews: Sequence[Preview]) -> None:
        """Do nothing."""

    def log_confusion(self, counts: np.ndarray, classes: Sequence[str]) -> None:
        """Do nothing."""

    def log_checkpoint(self, path: Path, *, metrics: Mapping[str, float]) -> None:
        """Do nothing."""

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Do nothing."""

    def finish(self, *, exit_code: int, preempted: bool = False) -> None:
        """Do nothing."""
