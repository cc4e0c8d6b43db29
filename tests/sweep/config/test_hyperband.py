"""Early stopping; agreement with W&B's own code is in test_oracle.py."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.sweep.config.hyperband import Goal, Hyperband, bands, should_stop, should_stop_at

goals = st.sampled_from(["minimize", "maximize"])
rules = st.one_of(
    st.builds(Hyperband, min_iter=st.integers(1, 4), eta=st.sampled_from([1.5, 2, 3]), strict=st.booleans()),
    st.builds(
        Hyperband, max_iter=st.integers(4, 30), s=st.integers(1, 4), eta=st.just(2.0), strict=st.booleans()
    ),
)
histories = st.lists(st.floats(-10, 10).map(lambda x: round(x, 1)), max_size=12)


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        (Hyperband(min_iter=3), [3, 9, 27, 81]),  # the examples of W&B's documentation
        (Hyperband(max_iter=27, s=2), [3, 9]),
        (Hyperband(max_iter=27, s=9), [1, 3, 9]),
        (Hyperband(min_iter=2, eta=1.5), [2, 3, 4, 6]),
        (Hyperband(max_iter=2, s=3, eta=3.0), []),
    ],
)
def test_bands(rule: Hyperband, first: list[int]) -> None:
    assert bands(rule)[:4] == first


@given(histories, st.lists(histories, max_size=8), rules, goals)
def test_values_at_the_bands_alone_decide_the_same(
    history: list[float], others: list[list[float]], rule: Hyperband, goal: Goal
) -> None:
    at_band = {band: [other[band - 1] for other in others if len(other) >= band] for band in bands(rule)}
    assert should_stop(history, others, section=rule, goal=goal) == should_stop_at(
        history, at_band, section=rule, goal=goal
    )


@given(histories, st.lists(histories, max_size=8), rules)
def test_minimising_is_maximising_the_negative(
    history: list[float], others: list[list[float]], rule: Hyperband
) -> None:
    negated = [[-value for value in other] for other in others]
    assert should_stop(history, others, section=rule, goal="minimize") == should_stop(
        [-value for value in history], negated, section=rule, goal="maximize"
    )


@given(st.lists(histories, min_size=1, max_size=8), rules, goals)
def test_the_best_is_never_stopped_nor_one_before_the_first_band(
    trials: list[list[float]], rule: Hyperband, goal: Goal
) -> None:
    best = [100.0 if goal == "maximize" else -100.0] * 12
    assert not should_stop(best, trials, section=rule, goal=goal)
    first = min(bands(rule), default=math.inf)
    early = [trial for trial in trials if len(trial) < first]
    assert not any(should_stop(trial, [best] * 9, section=rule, goal=goal) for trial in early)


def test_the_lenient_rule_forgives_a_dip() -> None:
    others = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    dip = [0.5, 4.0]
    strict, lenient = (Hyperband(min_iter=2, eta=2, strict=strict) for strict in (True, False))
    assert should_stop(dip, others, section=strict, goal="minimize")
    assert not should_stop(dip, others, section=lenient, goal="minimize")


def test_what_is_not_finite_counts_as_not_logged() -> None:
    rule = Hyperband(min_iter=2)
    assert not should_stop([9.0, math.nan], [[1.0, 1.0]] * 5, section=rule, goal="minimize")
    assert should_stop([9.0, math.nan, 9.0], [[1.0, 1.0]] * 5, section=rule, goal="minimize")
