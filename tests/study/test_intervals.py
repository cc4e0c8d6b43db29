"""Intervals as they are shown."""

from __future__ import annotations

import json
import math

from vidcls.statistics.estimate import Estimate
from vidcls.study.intervals import few_groups, plain_difference, plain_share


def test_an_interval_ends_where_its_quantity_does() -> None:
    wide = Estimate(0.9, 0.5, 3)
    assert wide.high > 1
    assert wide.low < 0
    assert (plain_share(wide)["low"], plain_share(wide)["high"]) == (0, 1)
    assert plain_difference(wide)["low"] == wide.low
    wider = Estimate(-0.9, 0.5, 1)
    assert (plain_difference(wider)["low"], plain_difference(wider)["high"]) == (-1, 1)


def test_infinite_degrees_of_freedom_are_null_in_json() -> None:
    sure = plain_share(Estimate(1.0, 0.0, math.inf))
    assert json.loads(json.dumps(sure, allow_nan=False)) == {
        "low": 1.0, "high": 1.0, "std_error": 0.0, "dof": None
    }  # fmt: skip


def test_fewer_than_ten_groups_are_named() -> None:
    assert few_groups(10) is None
    assert few_groups(9) == "only 9 groups: intervals of fewer than 10 may be too short"
    assert few_groups(4, "videos") == "only 4 videos: intervals of fewer than 10 may be too short"
