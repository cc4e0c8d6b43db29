"""Timelines: predictions for the windows of a long video, in memory that does not grow with its length.

    decode in order -> stored form of each frame -> the frames of one window -> clip -> batch -> logits

Everything before the batch runs in a thread, ahead of the model. Each window is a video of its own to the
model: its clip is sampled from its frames by the rule of the run's evaluation. Needs no torch.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import StageProgress
from vidcls.evaluate.metrics import softmax
from vidcls.predict.frame_stream import FrameStream, TimedFrame, VideoStream, open_file
from vidcls.predict.scorer import ClipScorer
from vidcls.predict.stored_form import StoredFrame, frames_clip, stored_frames, too_short
from vidcls.predict.timeline.background import in_background
from vidcls.predict.timeline.thumbnails import Thumbnail, Thumbnails
from vidcls.predict.timeline.windows import Window, WindowPlan, windows_of
from vidcls.spec.sections import Clip
from vidcls.text import printable

BATCH: Final = 4
"""Windows of a file that are scored at once: a clip is many frames, so more make nothing faster."""
_AHEAD: Final = 2


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
    """

    start_s: float
    end_s: float
    num_frames: int
    classes: tuple[str, ...]
    packed: bytes | None = field(default=None, repr=False)
    error: str | None = None

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


def predict_timeline(
    path: Path, scorer: ClipScorer, *, plan: WindowPlan, progress: StageProgress | None = None
) -> Timeline:
    """Predict the windows of a video file.

    Args:
        path: Video file. A folder of frames or an animated picture has no times.
        scorer: Trained model.
        plan: Length and stride of the windows.
        progress: Called with (name of the file, seconds done, seconds in all), 0 in all if unknown.

    Returns:
        The timeline; if the file cannot be read to its end, with the reason and the windows before.
    """
    windows: list[WindowPrediction] = []
    thumbnails = Thumbnails()
    opened: list[VideoStream] = []
    error: str | None = None
    done = 0

    def clips() -> Iterator[_Clip]:
        with open_file(path) as stream:
            opened.append(stream)
            yield from window_clips(_seen(stream.frames(), thumbnails), scorer.clip, plan)

    try:
        for window in score_windows(clips(), scorer, batch=BATCH):
            windows.append(window)
            total = int(opened[0].duration_s or 0)
            if progress is not None and int(window.end_s) > done:
                done = int(window.end_s)
                progress(printable(path.name), min(done, total), total)
        if not windows:
            error = "has no frame that can be decoded"
    except DecodeError as found:
        error = found.reason
    except OSError as found:
        error = f"cannot be read: {found.strerror or found}"
    return Timeline(
        path,
        scorer.classes,
        plan,
        tuple(windows),
        remarks=tuple(opened[0].remarks()) if opened else (),
        error=error,
        thumbnails=thumbnails.chosen(),
    )


def predict_stream(
    stream: FrameStream, scorer: ClipScorer, *, plan: WindowPlan, is_over: Callable[[], bool]
) -> Generator[WindowPrediction, None, None]:
    """Yield the prediction for each window of a live stream as soon as its last frame is there.

    Args:
        stream: Source of frames.
        scorer: Trained model.
        plan: Length and stride of the windows.
        is_over: Whether to end now.

    Raises:
        DecodeError: If the stream cannot be read any more.
    """
    clips = window_clips(stream.frames(), scorer.clip, plan)
    yield from score_windows(clips, scorer, batch=1, is_over=is_over)


@dataclass(frozen=True)
class _Clip:
    """Window with its clip in stored form; None if it has too few frames."""

    window: WindowPrediction
    pixels: Pixels | None


def window_clips(frames: Iterable[TimedFrame], clip: Clip, plan: WindowPlan) -> Iterator[_Clip]:
    """Yield the windows of a video with their clips, each as soon as its last frame was read."""
    for window in windows_of(stored_frames(frames, clip), plan):
        yield _clip_of(window, clip)


def score_windows(
    clips: Iterator[_Clip], scorer: ClipScorer, *, batch: int, is_over: Callable[[], bool] = lambda: False
) -> Iterator[WindowPrediction]:
    """Score windows in order, `batch` at once, while a thread makes the next clips."""
    with contextlib.closing(in_background(_batches(clips, batch), ahead=_AHEAD, is_over=is_over)) as ready:
        for found in ready:
            good = [each.pixels for each in found if each.pixels is not None]
            logits = deque(scorer.score_clips(good) if good else ())
            for each in found:
                own = None if each.pixels is None else logits.popleft()
                yield _with_logits(each.window, own, scorer.classes)


def _batches(clips: Iterator[_Clip], size: int) -> Iterator[list[_Clip]]:
    """Batches of clips; those before a decode error come before it."""
    batch: list[_Clip] = []
    error: DecodeError | None = None
    try:
        for each in clips:
            batch.append(each)
            if len(batch) == size:
                yield batch
                batch = []
    except DecodeError as found:
        error = found
    finally:
        if isinstance(clips, Generator):  # the thread that reads the file closes it
            clips.close()
    if batch:
        yield batch
    if error is not None:
        raise error


def _seen(frames: Iterable[TimedFrame], thumbnails: Thumbnails) -> Iterator[TimedFrame]:
    for frame in frames:
        thumbnails.see(frame)
        yield frame


def _clip_of(window: Window[StoredFrame], clip: Clip) -> _Clip:
    frames = window.frames
    reason = too_short(len(frames), clip)
    made = WindowPrediction(float(window.start_s), float(window.end_s), len(frames), (), error=reason)
    return _Clip(made, None if reason else frames_clip(frames, clip))


def _with_logits(
    window: WindowPrediction, logits: NDArray[np.float32] | None, classes: tuple[str, ...]
) -> WindowPrediction:
    packed = None if logits is None else logits.astype(np.float32, copy=False).tobytes()
    return replace(window, classes=classes, packed=packed)
