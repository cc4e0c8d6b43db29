"""Windows of a long video: parts of one length, whose starts are one stride apart. Pure, light to import.

Window i covers the time from i * stride to i * stride + window, counted from the first frame of the video,
and holds the frames whose presentation begins in it. If none does, as in a gap between timestamps, it holds
the frame that is still shown. With a stride no longer than a window, windows are made until the last frame is
in one: so the last window ends with the video, and may be shorter than the others; also if the video cannot
be decoded any further.

All times are exact fractions of a second, so that no frame changes its window by rounding.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

from vidcls.data.decoding.errors import DecodeError, until_error
from vidcls.errors import UserError

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})\s*(s|ms|)")


class Timed(Protocol):
    """Anything that is shown from a time on."""

    @property
    def time_s(self) -> Fraction:
        """Start of its presentation, in seconds after the first frame."""

    @property
    def end_s(self) -> Fraction:
        """End of its presentation."""


TimedT = TypeVar("TimedT", bound=Timed)


@dataclass(frozen=True)
class WindowPlan:
    """Length and distance of windows.

    Attributes:
        window_s: Length of a window in seconds.
        stride_s: Distance from the start of one window to the start of the next, in seconds.
    """

    window_s: Fraction
    stride_s: Fraction

    @classmethod
    def read(cls, window: str, stride: str | None) -> WindowPlan:
        """Plan of two durations such as `2s`, `500ms` or `0.5`; without a stride, windows are side by side.

        Raises:
            UserError: If one is not a duration above zero.
        """
        window_s = read_duration(window, option="--window")
        return cls(window_s, window_s if stride is None else read_duration(stride, option="--stride"))

    @property
    def gap_s(self) -> Fraction:
        """Seconds between two windows that are in none of them."""
        return max(Fraction(0), self.stride_s - self.window_s)

    def start_s(self, number: int) -> Fraction:
        """Start of a window, counted from 0."""
        return number * self.stride_s

    def end_s(self, number: int) -> Fraction:
        """End of a window that is not the last one."""
        return self.start_s(number) + self.window_s


@dataclass(frozen=True)
class Window(Generic[TimedT]):
    """Part of a video.

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds; the end of the video for the last window.
        frames: Frames of the window in order, at least one.
        is_gap: Whether none begins in it.
        repeats: Whether they are exactly those of the window before.
    """

    start_s: Fraction
    end_s: Fraction
    frames: Sequence[TimedT]
    is_gap: bool = False
    repeats: bool = False


def read_duration(text: str, *, option: str) -> Fraction:
    """Seconds of a duration such as `2s`, `500ms` or `0.5`.

    Raises:
        UserError: If it is not a duration above zero.
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = Fraction(match[1]) / (1000 if match[2] == "ms" else 1) if match else Fraction(0)
    if seconds <= 0:
        raise UserError(
            f"{option}: expected a duration above zero, got {text!r}",
            hint=f"for example {option} 2s or 500ms",
        )
    return seconds


def windows_of(frames: Iterable[TimedT], plan: WindowPlan) -> Iterator[Window[TimedT]]:
    """Yield the windows of a video, each as soon as a frame comes that is behind it.

    Only the frames of the current window are kept.

    Args:
        frames: Frames in the order of their times.
        plan: Length and stride.

    Raises:
        DecodeError: If a frame cannot be decoded, after the window of the frames before it.
    """
    number = 0
    is_same = False
    errors: list[DecodeError] = []
    held: deque[TimedT] = deque()
    before: TimedT | None = None
    end_s = Fraction(0)
    for frame in until_error(frames, errors):
        while frame.time_s >= plan.end_s(number):
            shown = tuple(held) or ((before,) if before is not None else ())
            assert shown, "the first frame is at time 0"
            start_s, behind_s = plan.start_s(number), plan.end_s(number)
            yield Window(start_s, behind_s, shown, is_gap=not held, repeats=is_same)
            number += 1
            is_same = True
            while held and held[0].time_s < plan.start_s(number):
                before = held.popleft()
                is_same = False
        if frame.time_s < plan.start_s(number):  # between two windows
            before = frame
        else:
            held.append(frame)
        is_same = False
        end_s = max(end_s, frame.end_s)
    if held:
        yield Window(plan.start_s(number), min(plan.end_s(number), end_s), tuple(held))
    if errors:
        raise errors[0]
