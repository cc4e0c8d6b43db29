"""Intervals as they are shown."""

from __future__ import annotations

import json
import math

from vidcls.statistics.estimate import Estimate
from vidcls.study.intervals import few_groups, interval_in_words, plain_difference, plain_share


def test_an_interval_ends_where_its_quantity_does() -> None:
    wide = Estimate(0.9, 0.5, 3)
    assert wide.high > 1
    assert wide.low < 0
    assert (plain_share(wide)["low"], plain_share(wide)["high"]) == (0, 1)
    assert plain_difference(wide)["low"] == wide.low
    wider = Estimate(-0.9, 0.5, 1)
    assert (plain_difference(wider)["low"], plain_difference(wider)["high"]) == (-1, 1)


def test_infinite_degrees_of_freedom_are_null_in_json() -> None:
    sure = plain_share(Estimate(1.0, 0.5, math.inf))
    found = json.loads(json.dumps(sure, allow_nan=False))
    assert (found["std_error"], found["dof"]) == (0.5, None)


def test_where_nothing_varied_there_is_no_interval() -> None:
    for plain in (plain_share(Estimate(1.0, 0.0, 9)), plain_difference(Estimate(0.1, 0.0, 9))):
        assert plain == {"low": None, "high": None, "std_error": 0.0, "dof": 9}
    assert interval_in_words(None, None) == (
        "no interval: all seeds and groups of videos agree, which may be chance"
    )
    assert interval_in_words(-0.00001, 0.1, sign="+") == "95 % interval +0.0 to +10.0"


def test_fewer_than_ten_groups_are_named() -> None:
    assert few_groups(10) is None
    assert few_groups(9) == "only 9 groups: intervals of fewer than 10 may be too short"
    assert few_groups(4, "videos") == "only 4 videos: intervals of fewer than 10 may be too short"
