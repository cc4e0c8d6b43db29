"""Timelines: predictions for the windows of a long video, in memory that does not grow with its length.

    decode in order -> stored form of each frame -> the frames of one window -> clip -> batch -> logits

Everything before the batch runs in a thread, ahead of the model. Each window is a video of its own to the
model: its clip is sampled from its frames by the rule of the run's evaluation. Needs no torch.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from vidcls.data.decoding.errors import DecodeError, until_error
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import StageProgress
from vidcls.errors import UserError
from vidcls.predict.frame_stream import FrameStream, TimedFrame, VideoStream, open_file
from vidcls.predict.scorer import ClipScorer
from vidcls.predict.stored_form import StoredFrame, frames_clip, stored_frames, too_short
from vidcls.predict.timeline.background import in_background
from vidcls.predict.timeline.results import Timeline, WindowPrediction
from vidcls.predict.timeline.thumbnails import Thumbnails
from vidcls.predict.timeline.windows import Window, WindowPlan, windows_of
from vidcls.spec.sections import Clip
from vidcls.text import printable

BATCH: Final = 4
"""Windows of a file that are scored at once: a clip is many frames, so more make nothing faster."""
_AHEAD: Final = 2
MOST_WINDOWS: Final = 100_000
"""Maximum number of windows of a file: more are most probably a wrong timestamp, or a wrong stride."""


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

    Raises:
        UserError: If it has more than 100,000 windows.
    """
    windows: list[WindowPrediction] = []
    thumbnails = Thumbnails()
    opened: list[VideoStream] = []
    error: str | None = None
    done = 0

    def clips() -> Iterator[_Clip]:
        with open_file(path) as stream:
            opened.append(stream)
            _refuse_too_many(stream.duration_s or 0, path, plan)
            frames = _seen(_limited(stream.frames(), path, plan), thumbnails)
            yield from window_clips(frames, scorer.clip, plan)

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
        remarks=(*(opened[0].remarks() if opened else ()), *_gap_remark(windows)),
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
    """Window with its clip in stored form; None if it has too few frames, or those of the window before."""

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
    packed: bytes | None = None
    with contextlib.closing(in_background(_batches(clips, batch), ahead=_AHEAD, is_over=is_over)) as ready:
        for found in ready:
            good = [each.pixels for each in found if each.pixels is not None]
            logits = deque(scorer.score_clips(good) if good else ())
            for each in found:
                if each.pixels is not None:
                    packed = logits.popleft().astype(np.float32, copy=False).tobytes()
                elif not each.window.repeats:
                    packed = None
                yield replace(each.window, classes=scorer.classes, packed=packed)


def _batches(clips: Iterator[_Clip], size: int) -> Iterator[list[_Clip]]:
    """Batches of clips; those before a decode error come before it."""
    batch: list[_Clip] = []
    errors: list[DecodeError] = []
    try:
        for each in until_error(clips, errors):
            batch.append(each)
            if len(batch) == size:
                yield batch
                batch = []
    finally:
        if isinstance(clips, Generator):  # the thread that reads the file closes it
            clips.close()
    if batch:
        yield batch
    if errors:
        raise errors[0]


def _limited(frames: Iterable[TimedFrame], path: Path, plan: WindowPlan) -> Iterator[TimedFrame]:
    for frame in frames:
        _refuse_too_many(frame.time_s, path, plan)
        yield frame


def _refuse_too_many(time_s: float | Fraction, path: Path, plan: WindowPlan) -> None:
    if time_s > MOST_WINDOWS * plan.stride_s:
        raise UserError(
            f"{printable(path)}: lasts {float(time_s):.2f} s, by its timestamps: these are more than "
            f"{MOST_WINDOWS:,} windows, one every {float(plan.stride_s):g} s",
            hint=f"give a longer stride: --stride {math.ceil(time_s / MOST_WINDOWS)}s",
        )


def _gap_remark(windows: Sequence[WindowPrediction]) -> Iterator[str]:
    """Remark on windows in which no frame begins, with the longest gap."""
    gaps = [list(found) for is_gap, found in groupby(windows, key=lambda each: each.is_gap) if is_gap]
    if gaps:
        longest = max(gaps, key=len)
        yield (
            f"no frame begins in {sum(map(len, gaps))} of {len(windows)} windows, which show the frame "
            f"before: those from {longest[0].start_s:.2f} s to {longest[-1].end_s:.2f} s are the longest gap"
        )


def _seen(frames: Iterable[TimedFrame], thumbnails: Thumbnails) -> Iterator[TimedFrame]:
    for frame in frames:
        thumbnails.see(frame)
        yield frame


def _clip_of(window: Window[StoredFrame], clip: Clip) -> _Clip:
    frames = window.frames
    reason = too_short(len(frames), clip)
    made = WindowPrediction(
        float(window.start_s),
        float(window.end_s),
        len(frames),
        (),
        error=reason,
        is_gap=window.is_gap,
        repeats=window.repeats,
    )
    return _Clip(made, None if reason or window.repeats else frames_clip(frames, clip))
