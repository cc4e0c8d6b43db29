"""Intervals as they are shown: plain values for JSON, and what must be said where groups are few."""

from __future__ import annotations

import math
from typing import Literal, TypedDict

from vidcls.statistics.estimate import Estimate

FEW_GROUPS = 10
"""Number of groups below which intervals may be too short."""


class PlainInterval(TypedDict):
    """95 % interval with its standard error and degrees of freedom.

    The ends are None if nothing varied, so that there is no interval; `dof` is None for infinitely many.
    """

    low: float | None
    high: float | None
    std_error: float
    dof: float | None


def plain_share(estimate: Estimate) -> PlainInterval:
    """Share of videos as plain values; the interval ends at 0 and 1."""
    return plain_interval(estimate, least=0.0)


def plain_difference(estimate: Estimate) -> PlainInterval:
    """Difference of two shares as plain values; the interval ends at -1 and 1."""
    return plain_interval(estimate)


def plain_interval(estimate: Estimate, *, least: float = -1.0, most: float = 1.0) -> PlainInterval:
    """Interval as plain values; it stops where its quantity does, see `ends`."""
    low, high = ends(estimate, least=least, most=most) or (None, None)
    return {
        "low": low,
        "high": high,
        "std_error": estimate.std_error,
        "dof": estimate.dof if math.isfinite(estimate.dof) else None,
    }


def ends(estimate: Estimate, *, least: float = -1.0, most: float = 1.0) -> tuple[float, float] | None:
    """Ends of an interval, which stops where its quantity does; None if nothing varied, so there is none.

    Args:
        estimate: Estimate, by default a difference of two shares.
        least: Least value that is possible.
        most: Largest value that is possible.
    """
    if not estimate.std_error:
        return None
    return max(least, estimate.low), min(most, estimate.high)


def points(share: float, *, sign: Literal["", "+"] = "") -> str:
    """Share in points with one decimal, such as `6.1`; never `-0.0`.

    Args:
        share: Share, or difference of two shares.
        sign: `+` writes a plus sign before a number that is not negative.
    """
    return f"{round(100 * share, 1) + 0.0:{sign}.1f}"


def reach(low: float | None, high: float | None, *, sign: Literal["", "+"] = "") -> str:
    """Ends of an interval in points, such as `2.0 to 10.2`, or `no interval`."""
    if low is None or high is None:
        return "no interval"
    return f"{points(low, sign=sign)} to {points(high, sign=sign)}"


def interval_in_words(
    low: float | None,
    high: float | None,
    *,
    sign: Literal["", "+"] = "",
    samples: str = "seeds and groups of videos",
) -> str:
    """Interval in points, such as `95 % interval 2.0 to 10.2`, or why there is none.

    Args:
        low: Lower end; None if there is no interval.
        high: Upper end; None if there is no interval.
        sign: As for `points`.
        samples: What the interval covers, and what agrees if there is none.
    """
    if low is None or high is None:
        return f"no interval: all {samples} agree, which may be chance"
    return f"95 % interval {reach(low, high, sign=sign)}"


def few_groups(num_groups: int, unit: str = "groups") -> str | None:
    """What must be said of intervals of few groups; None if there are enough."""
    if num_groups >= FEW_GROUPS:
        return None
    return f"only {num_groups} {unit}: intervals of fewer than {FEW_GROUPS} may be too short"


def videos_in_words(*, split: str, num_videos: int, num_groups: int, num_ungrouped: int) -> str:
    """Numbers of videos and groups, and of how many videos the group is not known.

    Args:
        split: Split of the videos.
        num_videos: Number of videos.
        num_groups: Number of groups, in which each video whose group is not known is one of its own.
        num_ungrouped: Number of videos whose group is not known.
    """
    videos = f"{num_videos} {split} videos"
    if num_ungrouped == num_videos:
        return f"{videos} whose groups are not known (each counts as its own)"
    return f"{videos} in {groups_in_words(num_groups, num_ungrouped)}"


def groups_in_words(num_groups: int, num_ungrouped: int) -> str:
    """Number of groups, and how many of them are single videos whose group is not known."""
    groups = f"{num_groups} groups"
    if not num_ungrouped:
        return groups
    single = "one is a single video" if num_ungrouped == 1 else f"{num_ungrouped} are single videos"
    return f"{groups} ({single} whose group is not known)"
