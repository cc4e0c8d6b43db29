"""Predictions of windows as text: rows of CSV, JSON, times."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vidcls.text import csv_path, printable, spreadsheet_cell

if TYPE_CHECKING:
    from vidcls.predict.timeline.results import Timeline, WindowPrediction


def clock(seconds: float) -> str:
    """Time as minutes and seconds, such as `1:02.50`, with hours if there are any."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 100:02}.{rest % 100:02}"
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def csv_head(classes: Sequence[str]) -> str:
    """First line of a CSV of windows, with the columns of probabilities of `predictions.csv`."""
    from vidcls.evaluate.prediction_tables import probability_columns

    columns = ["path", "start_s", "end_s", "frames", "class", "probability"]
    return _line([*columns, *probability_columns(classes)])


def csv_row(path: object, window: WindowPrediction) -> str:
    """Row of one window; the cells of a window without a prediction are empty."""
    found = window.probabilities
    numbers = [""] * len(window.classes) if found is None else [f"{value:.6f}" for value in found]
    label = "" if window.label is None else spreadsheet_cell(printable(window.label))
    best = "" if window.probability is None else f"{window.probability:.6f}"
    times = [f"{window.start_s:.3f}", f"{window.end_s:.3f}", window.num_frames]
    return _line([csv_path(str(path)), *times, label, best, *numbers])


def plain_window(window: WindowPrediction) -> dict[str, Any]:
    """Window for JSON."""
    found = window.probabilities
    return {
        "start_s": round(window.start_s, 6),
        "end_s": round(window.end_s, 6),
        "frames": window.num_frames,
        "class": window.label,
        "probability": window.probability,
        "probabilities": None if found is None else dict(zip(window.classes, map(float, found), strict=True)),
        "error": window.error,
    }


def plain_timeline(timeline: Timeline) -> dict[str, Any]:
    """Timeline for JSON."""
    return {
        "path": str(timeline.path),
        "window_s": float(timeline.plan.window_s),
        "stride_s": float(timeline.plan.stride_s),
        "segments": [
            {
                "start_s": round(segment.start_s, 6),
                "end_s": round(segment.end_s, 6),
                "class": segment.label,
                "probability": segment.probability,
            }
            for segment in timeline.segments
        ],
        "windows": [plain_window(window) for window in timeline.windows],
        "remarks": list(timeline.remarks),
        "error": timeline.error,
    }


def timelines_csv(timelines: Sequence[Timeline]) -> str:
    """CSV of all windows."""
    rows = [csv_row(timeline.path, window) for timeline in timelines for window in timeline.windows]
    return "".join([csv_head(timelines[0].classes), *rows])


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
