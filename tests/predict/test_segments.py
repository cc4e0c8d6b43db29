"""Neighbouring windows of one class become one segment."""

from __future__ import annotations

import numpy as np

from vidcls.predict.timeline.results import WindowPrediction, segments_of

CLASSES = ("run", "jump", "rest")


def window(start_s: float, end_s: float, label: str | None, probability: float = 0.8) -> WindowPrediction:
    if label is None:
        return WindowPrediction(start_s, end_s, 1, CLASSES, error="too short")
    values = [probability if name == label else (1 - probability) / 2 for name in CLASSES]
    return WindowPrediction(start_s, end_s, 50, CLASSES, np.log(np.array(values, np.float32)).tobytes())


def found(*windows: WindowPrediction) -> list[tuple[float, float, str | None, float | None]]:
    return [
        (each.start_s, each.end_s, each.label, each.probability and round(each.probability, 3))
        for each in segments_of(windows)
    ]


def test_overlapping_windows_meet_in_the_middle_of_their_overlap() -> None:
    windows = [window(0, 2, "run", 0.9), window(0.5, 2.5, "run", 0.7), window(1, 3, "jump"), window(1.5, 2.75, "run")]  # fmt: skip
    assert found(*windows) == [(0, 1.75, "run", 0.8), (1.75, 2.25, "jump", 0.8), (2.25, 2.75, "run", 0.8)]


def test_windows_side_by_side_keep_their_borders() -> None:
    assert found(window(0, 2, "run"), window(2, 4, "jump"), window(4, 4.5, "jump", 0.6)) == [
        (0, 2, "run", 0.8),
        (2, 4.5, "jump", 0.7),
    ]


def test_a_gap_separates() -> None:
    assert found(window(0, 1, "run"), window(3, 4, "run")) == [(0, 1, "run", 0.8), (3, 4, "run", 0.8)]


def test_what_has_no_prediction_is_a_segment_of_its_own() -> None:
    assert found(window(0, 1, "run"), window(1, 2, None), window(2, 3, None), window(3, 4, "run")) == [
        (0, 1, "run", 0.8),
        (1, 3, None, None),
        (3, 4, "run", 0.8),
    ]
    assert found() == []
