"""Which frames of a video are in which window."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.errors import UserError
from vidcls.predict.timeline.windows import WindowPlan, windows_of


class Frame:
    def __init__(self, time_s: Fraction, end_s: Fraction) -> None:
        self.time_s = time_s
        self.end_s = end_s


def frames_at(times: list[Fraction], last_s: Fraction = Fraction(1, 25)) -> list[Frame]:
    ends = [*times[1:], times[-1] + last_s]
    return [Frame(start, end) for start, end in zip(times, ends, strict=True)]


def steady(num_frames: int, fps: int = 25) -> list[Frame]:
    return frames_at([Fraction(k, fps) for k in range(num_frames)])


TIMES = st.lists(st.fractions(min_value="0.001", max_value=3, max_denominator=1000), max_size=60).map(
    lambda steps: list(itertools.accumulate(steps, initial=Fraction(0)))
)
LENGTHS = st.fractions(min_value="0.05", max_value=4, max_denominator=100)


@given(times=TIMES, window=LENGTHS, share=st.fractions(min_value="0.2", max_value=1, max_denominator=10))
def test_every_frame_is_in_a_window_and_each_window_has_its_frames(
    times: list[Fraction], window: Fraction, share: Fraction
) -> None:
    frames = frames_at(times)
    plan = WindowPlan(window, window * share)
    windows = list(windows_of(frames, plan))
    assert {id(frame) for each in windows for frame in each.frames} == {id(frame) for frame in frames}
    for number, found in enumerate(windows):
        start, behind = number * plan.stride_s, number * plan.stride_s + window
        assert found.start_s == start
        assert found.end_s == (behind if number + 1 < len(windows) else min(behind, frames[-1].end_s))
        inside = [frame for frame in frames if start <= frame.time_s < behind]
        shown = [frame for frame in frames if frame.time_s < start][-1:]
        assert list(found.frames) == (inside or shown)
    assert len(windows) == 1 or windows[-2].end_s <= times[-1]  # the last one was needed


def test_a_steady_video_has_windows_of_equal_numbers_of_frames() -> None:
    windows = list(windows_of(steady(250), WindowPlan.read("2s", "500ms")))
    assert [(float(each.start_s), float(each.end_s)) for each in windows] == [
        (k / 2, k / 2 + 2) for k in range(17)
    ]
    assert {len(each.frames) for each in windows} == {50}


def test_the_last_window_ends_with_the_video() -> None:
    windows = list(windows_of(steady(110), WindowPlan.read("2", None)))
    assert [(float(each.start_s), float(each.end_s), len(each.frames)) for each in windows] == [
        (0, 2, 50), (2, 4, 50), (4, 4.4, 10),
    ]  # fmt: skip
    (only,) = windows_of(steady(110), WindowPlan.read("1000", "1"))
    assert (only.end_s, len(only.frames)) == (Fraction("4.4"), 110)


def test_between_windows_there_may_be_gaps() -> None:
    plan = WindowPlan.read("1s", "3s")
    assert plan.gap_s == 2
    assert [float(each.start_s) for each in windows_of(steady(100), plan)] == [0, 3]
    assert [float(each.start_s) for each in windows_of(steady(60), plan)] == [0]


def test_no_more_than_one_window_of_frames_is_kept() -> None:
    alive: weakref.WeakSet[Frame] = weakref.WeakSet()

    def endless() -> Iterator[Frame]:
        for k in itertools.count():
            frame = Frame(Fraction(k, 10), Fraction(k + 1, 10))
            alive.add(frame)
            yield frame

    most = 0
    for found in itertools.islice(windows_of(endless(), WindowPlan.read("2s", "1s")), 50):
        assert len(found.frames) == 20
        del found
        most = max(most, len(alive))
    assert 20 < most <= 22  # the frame that ended the window, and the one that was shown before it


@pytest.mark.parametrize(("text", "seconds"), [("2s", 2), ("500ms", "0.5"), ("0.5", "0.5"), (" 3 s", 3), (".25", "0.25")])  # fmt: skip
def test_durations(text: str, seconds: str | int) -> None:
    assert WindowPlan.read("1", text).stride_s == Fraction(seconds)


@pytest.mark.parametrize("text", ["0", "0s", "-1", "-2s", "", "s", "two", "1m", "1e3", "nan", "inf", "1,5", "٣", "9" * 50])  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--window: expected a duration above zero"):
        WindowPlan.read(text, None)
