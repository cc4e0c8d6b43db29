"""Live predictions: the windows of a camera, or of a video on standard input, a line each as it comes."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import typer

from vidcls.cli.common import emit, say
from vidcls.cli.predict.model import AskedModel
from vidcls.cli.predict.window_rows import clock, csv_head, csv_row, plain_window
from vidcls.errors import ExitCode, UserError
from vidcls.process.signals import Signals
from vidcls.text import printable

if TYPE_CHECKING:
    from vidcls.predict.frame_stream import FrameStream
    from vidcls.predict.timeline.results import WindowPrediction
    from vidcls.predict.timeline.windows import WindowPlan


def predict_live(
    model: AskedModel,
    camera: int | None,
    plan: WindowPlan,
    *,
    form: Literal["table", "json", "csv"],
) -> None:
    """Print the prediction of each window, until the stream ends or a signal comes; then a summary on stderr.

    Raises:
        UserError: If there is no such camera, or standard input holds no video.
        Exit: With code 3 if the stream broke, or a window has no prediction.
    """
    from vidcls.data.decoding.errors import DecodeError
    from vidcls.predict.timeline.timeline import predict_stream

    name = "standard input" if camera is None else f"camera {camera}"
    summary = _Summary()
    error: str | None = None
    with Signals() as signals, contextlib.ExitStack() as opened:
        if camera is not None:
            stream = opened.enter_context(_open(camera))
        predictor = model.open()
        signals.check()
        signals.is_preparing = False  # from here on, a signal is the usual end
        try:
            if camera is None:
                stream = opened.enter_context(_open(None))
            if form == "csv":
                emit(csv_head(predictor.classes))
            is_over = lambda: signals.received is not None  # noqa: E731
            for window in predict_stream(stream, predictor, plan=plan, is_over=is_over):
                summary.add(window)
                emit(_line(window, form, name))
            remarks = stream.remarks()
        except DecodeError as found:
            error, remarks = found.reason, []
    if error is not None and not summary.num_windows:
        raise UserError(f"{name}: {error}")
    for line in (*summary.lines(), *remarks):
        say(f"{name}: {line}")
    if error is not None:
        say(f"{name}: {error}")
    if error is not None or summary.num_failed:
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _open(camera: int | None) -> contextlib.AbstractContextManager[FrameStream]:
    from vidcls.predict.frame_stream import CameraStream, open_stdin

    return open_stdin() if camera is None else contextlib.closing(CameraStream(camera))


def _line(window: WindowPrediction, form: Literal["table", "json", "csv"], name: str) -> str:
    if form == "json":
        return json.dumps(plain_window(window)) + "\n"
    if form == "csv":
        return csv_row(name, window)
    label = "no prediction" if window.label is None else printable(window.label)
    value = f"{window.error}" if window.probability is None else f"{window.probability:.1%}"
    return f"{clock(window.start_s)}  {clock(window.end_s)}  {label}  {value}\n"


class _Summary:
    """Counts windows by class; its size does not grow with the stream."""

    def __init__(self) -> None:
        self.num_windows = 0
        self.num_failed = 0
        self._end_s = 0.0
        self._of_class: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0.0])

    def add(self, window: WindowPrediction) -> None:
        """Count one window."""
        self.num_windows += 1
        self._end_s = window.end_s
        if window.label is None or window.probability is None:
            self.num_failed += 1
            return
        counted = self._of_class[window.label]
        counted[0] += 1
        counted[1] += window.probability

    def lines(self) -> Iterator[str]:
        """Lines for the user: the total, then the classes, the most frequent first."""
        yield f"{_windows(self.num_windows)} until {clock(self._end_s)}"
        for name, (count, total) in sorted(self._of_class.items(), key=lambda item: -item[1][0]):
            share = count / self.num_windows
            yield f"  {printable(name)}  {share:.1%} of the windows, mean probability {total / count:.1%}"
        if self.num_failed:
            yield f"  no prediction for {_windows(self.num_failed)}"


def _windows(num: int) -> str:
    return f"{num} {'window' if num == 1 else 'windows'}"
