"""Asynchronous successive halving: who goes on, and where to."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.sweep.config.hyperband import Goal
from vidcls.sweep.search.asha import promotable, rungs


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((1, 3, 9), [1, 3, 9]), ((2, 2, 20), [2, 4, 8, 16, 20]), ((5, 4, 5), [5]), ((1, 4, 3), [1, 3])],
)
def test_rungs_end_at_the_last_epoch(arguments: tuple[int, int, int], expected: list[int]) -> None:
    assert rungs(*arguments) == expected


@pytest.mark.parametrize("arguments", [(0, 2, 9), (10, 2, 9), (1, 1, 9)])
def test_rungs_that_make_no_sense_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        rungs(*arguments)


def test_the_top_rung_comes_first_and_ties_go_by_number() -> None:
    at_rung = {1: dict.fromkeys(range(6), 0.5), 2: {0: 0.5, 1: 0.9}}
    promoted = {1: {0, 1}}
    assert promotable(at_rung, promoted, eta=2, goal="maximize") == (1, 2)
    assert promotable(at_rung, promoted | {2: {1}}, eta=2, goal="maximize") == (2, 1)
    assert promotable(at_rung, promoted | {2: {1}}, eta=3, goal="maximize") is None
    assert promotable({1: {0: 1.0}}, {}, eta=3, goal="maximize") is None


def test_losses_as_large_as_floats_go_are_ranked() -> None:
    huge = {1: {0: 1.7e308, 1: 1.6e308, 2: -1.6e308, 3: -1.7e308}}
    assert promotable(huge, {1: {2, 3}}, eta=2, goal="maximize") == (0, 1)
    assert promotable(huge, {}, eta=4, goal="minimize") == (3, 1)
    assert promotable({1: {0: 1.7e308, 1: 1.6e308}}, {}, eta=2, goal="minimize") == (1, 1)
    assert promotable({1: {0: 1.6e308, 1: 1.7e308}}, {}, eta=2, goal="maximize") == (1, 1)


@given(
    st.dictionaries(st.integers(0, 20), st.integers(0, 9).map(float), max_size=20),
    st.sets(st.integers(0, 20)),
    st.integers(2, 4),
    st.sampled_from(["minimize", "maximize"]),
)
def test_only_the_best_share_of_a_rung_goes_on(
    values: dict[int, float], left: set[int], eta: int, goal: Goal
) -> None:
    found = promotable({1: values}, {1: left}, eta=eta, goal=goal)
    ranked = sorted(values, key=lambda n: (-values[n] if goal == "maximize" else values[n], n))
    waiting = [number for number in ranked[: len(values) // eta] if number not in left]
    assert found == ((waiting[0], 1) if waiting else None)


@pytest.mark.parametrize("seed", range(5))
def test_a_search_in_any_order_ends_with_the_best_trained_to_the_end(seed: int) -> None:
    """81 trials, each job ending in random order; the quality shows at every rung."""
    chance = random.Random(seed)
    steps = rungs(1, 3, 27)
    quality = [chance.random() for _ in range(81)]
    at_rung: dict[int, dict[int, float]] = {rung: {} for rung in steps[:-1]}
    finished: dict[int, float] = {}
    promoted: dict[int, set[int]] = {rung: set() for rung in steps}
    running: list[tuple[int, int]] = []
    num_started = 0
    epochs = 0
    while True:
        while len(running) < 8:
            found = promotable(at_rung, promoted, eta=3, goal="maximize")
            if found is not None:
                promoted[found[1]].add(found[0])
                found = found[0], steps[steps.index(found[1]) + 1]
            elif num_started < 81:
                found = num_started, steps[0]
                num_started += 1
            else:
                break
            running.append(found)
        if not running:
            break
        number, rung = running.pop(chance.randrange(len(running)))
        at_rung.get(rung, finished)[number] = quality[number]
        epochs += rung
    best = max(range(81), key=quality.__getitem__)
    assert best in finished
    assert len(at_rung[1]) == 81
    assert 27 <= len(at_rung[3]) <= 45
    assert len(finished) <= 12
    assert epochs < 81 * 27 / 2
