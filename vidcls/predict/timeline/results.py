"""Results of timelines: windows with their logits, and segments of equal class. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcls.evaluate.metrics import softmax
from vidcls.predict.timeline.thumbnails import Thumbnail
from vidcls.predict.timeline.windows import WindowPlan


@dataclass(frozen=True, eq=False, slots=True)
class WindowPrediction:
    """Prediction for one window.

    Attributes:
        start_s: Start in seconds after the first frame of the video.
        end_s: End in seconds.
        num_frames: Number of frames in the window, from which those of its clip are sampled.
        classes: Class names; the index is the label.
        packed: Bytes of the logits, float32; None if no clip can be made. Not an array: thousands of small
            arrays between the frames, which come and go, would keep the memory of the frames from being used
            again (64 KiB for each window were measured).
        error: Reason why no clip can be made; None if there is one.
        is_gap: Whether no frame begins in it, so that it shows the frame before.
        repeats: Whether it holds exactly the frames of the window before, and so has its logits.
    """

    start_s: float
    end_s: float
    num_frames: int
    classes: tuple[str, ...]
    packed: bytes | None = field(default=None, repr=False)
    error: str | None = None
    is_gap: bool = False
    repeats: bool = False

    @property
    def logits(self) -> NDArray[np.float32] | None:
        """Logits, float32 `[K]`."""
        return None if self.packed is None else np.frombuffer(self.packed, np.float32)

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """Softmax of the logits, `[K]` in the order of the labels."""
        logits = self.logits
        return None if logits is None else softmax(logits)

    @property
    def label(self) -> str | None:
        """Most probable class."""
        logits = self.logits
        return None if logits is None else self.classes[int(logits.argmax())]

    @property
    def probability(self) -> float | None:
        """Probability of the most probable class."""
        found = self.probabilities
        return None if found is None else float(found.max())


@dataclass(frozen=True)
class Segment:
    """Neighbouring windows with the same class.

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds.
        label: Class; None for windows without a prediction.
        probability: Mean of its probability over the windows; None without a prediction.
    """

    start_s: float
    end_s: float
    label: str | None
    probability: float | None


@dataclass(frozen=True, eq=False)
class Timeline:
    """Predictions for the windows of one video.

    Attributes:
        path: Video file.
        classes: Class names; the index is the label.
        plan: Length and stride of the windows.
        windows: Windows in order.
        remarks: Remarks on the times of the frames and the end of the file.
        error: Reason why the video could not be read to its end; the windows before it are there.
        thumbnails: Small frames, spread over the video.
    """

    path: Path
    classes: tuple[str, ...]
    plan: WindowPlan
    windows: tuple[WindowPrediction, ...]
    remarks: tuple[str, ...] = ()
    error: str | None = None
    thumbnails: tuple[Thumbnail, ...] = field(default=(), repr=False)

    @property
    def end_s(self) -> float:
        """End of the last window in seconds."""
        return self.windows[-1].end_s if self.windows else 0.0

    @property
    def segments(self) -> list[Segment]:
        """Segments in order; see `segments_of`."""
        return segments_of(self.windows)


def segments_of(windows: Sequence[WindowPrediction]) -> list[Segment]:
    """Merge neighbouring windows of the same class.

    Where two windows overlap, the border between them is the middle of the overlap, so segments do not
    overlap, and each moment belongs to the window in whose middle it is most. A gap between two windows
    separates segments.
    """
    cells: list[tuple[float, float, WindowPrediction]] = []
    for k, window in enumerate(windows):
        start, end = window.start_s, window.end_s
        if k > 0 and windows[k - 1].end_s > start:
            start = (windows[k - 1].end_s + start) / 2
        if k + 1 < len(windows) and windows[k + 1].start_s < end:
            end = (windows[k + 1].start_s + end) / 2
        cells.append((start, end, window))
    run = 0
    runs: list[int] = []
    for k, (start, _, window) in enumerate(cells):
        if k and (window.label != cells[k - 1][2].label or start > cells[k - 1][1]):
            run += 1
        runs.append(run)
    segments = []
    for _, group in groupby(zip(runs, cells, strict=True), key=lambda pair: pair[0]):
        part = [cell for _, cell in group]
        found = [p for _, _, window in part if (p := window.probability) is not None]
        mean = float(np.mean(found)) if found else None
        segments.append(Segment(part[0][0], part[-1][1], part[0][2].label, mean))
    return segments
