"""Intervals as they are shown: plain values for JSON, and what must be said where groups are few."""

from __future__ import annotations

import math
from typing import TypedDict

from vidcls.statistics.estimate import Estimate

FEW_GROUPS = 10
"""Number of groups below which intervals may be too short."""


class PlainInterval(TypedDict):
    """95 % interval with its standard error and degrees of freedom; None for infinitely many."""

    low: float
    high: float
    std_error: float
    dof: float | None


def plain_share(estimate: Estimate) -> PlainInterval:
    """Share of videos as plain values; the interval ends at 0 and 1."""
    return _plain(estimate, least=0.0)


def plain_difference(estimate: Estimate) -> PlainInterval:
    """Difference of two shares as plain values; the interval ends at -1 and 1."""
    return _plain(estimate, least=-1.0)


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


def _plain(estimate: Estimate, *, least: float) -> PlainInterval:
    return {
        "low": max(least, estimate.low),
        "high": min(1.0, estimate.high),
        "std_error": estimate.std_error,
        "dof": estimate.dof if math.isfinite(estimate.dof) else None,
    }
