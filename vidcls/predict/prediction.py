"""Prediction for one video. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from vidcls.evaluate.metrics import softmax


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of a run for one video.

    Attributes:
        path: Video file or frame folder; None for a video that was given as an array.
        classes: All class names, most probable first; empty for a video that could not be read.
        probabilities: Softmax of the logits, in the same order.
        logits: float32 `[K]` in the order of the labels.
        error: Reason why there is no prediction; None if there is one.
    """

    path: Path | None
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    logits: np.ndarray | None = field(default=None, repr=False)
    error: str | None = None

    @property
    def label(self) -> str | None:
        """Most probable class."""
        return self.classes[0] if self.classes else None

    @property
    def name(self) -> str:
        """Path as text; `array` for a video that was given as an array."""
        return "array" if self.path is None else str(self.path)

    @classmethod
    def of(cls, path: Path | None, logits: np.ndarray, classes: Sequence[str]) -> Self:
        """Prediction of logits `[K]` in the order of `classes`; the first of equal logits comes first."""
        probabilities = softmax(logits)
        order = np.argsort(-logits, kind="stable").tolist()
        return cls(
            path,
            classes=tuple(classes[i] for i in order),
            probabilities=tuple(float(probabilities[i]) for i in order),
            logits=logits,
        )


def predictions_of(
    files: Sequence[Path],
    logits: Mapping[str, np.ndarray],
    errors: Mapping[str, str],
    classes: Sequence[str],
) -> list[Prediction]:
    """Prediction of each file, from its logits `[K]` or the reason why it has none, by its path."""
    return [
        Prediction(path, error=errors[str(path)])
        if str(path) in errors
        else Prediction.of(path, logits[str(path)], classes)
        for path in files
    ]
