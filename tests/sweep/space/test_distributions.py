"""Draws and grids of every distribution; agreement with W&B is in test_oracle.py."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.sweep.space.distributions import (
    Beta,
    Categorical,
    Constant,
    IntUniform,
    LogNormal,
    LogUniform,
    Normal,
    Real,
    Uniform,
)

us = st.floats(0, 1, exclude_max=True)
numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 6))
positives = st.floats(1e-6, 1e6).map(lambda x: float(f"{x:.6g}"))


@st.composite
def bounds(draw: st.DrawFn, element: Any = numbers) -> tuple[Any, Any]:
    low, high = sorted((draw(element), draw(element)))
    return (low, high) if high > low + 1e-6 * abs(low) + 1e-9 else (low, low + max(1, abs(low)))


shapes = st.one_of(
    bounds().map(lambda pair: Uniform(*pair)),
    bounds(positives).map(lambda pair: LogUniform(*pair)),
    st.tuples(st.floats(-1e3, 1e3), st.floats(0.01, 1e3)).map(lambda pair: Normal(*pair)),
    st.tuples(st.floats(-5, 5), st.floats(0.01, 3)).map(lambda pair: LogNormal(*pair)),
    st.tuples(st.floats(0.5, 20), st.floats(0.5, 20)).map(lambda pair: Beta(*pair)),
)
quanta = st.sampled_from([0.001, 0.1, 0.25, 1, 2, 2.5, 16])
reals = st.builds(Real, shapes, st.none() | quanta)
int_uniforms = bounds(st.integers(-1000, 1000)).map(lambda pair: IntUniform(int(pair[0]), math.ceil(pair[1])))
categoricals = st.lists(st.integers(), min_size=1, max_size=9, unique=True).map(
    lambda values: Categorical(tuple(values))
)


@given(st.one_of(reals, int_uniforms), us, us)
def test_a_larger_u_never_draws_a_smaller_value(distribution: Real | IntUniform, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert distribution.value(low) <= distribution.value(high)


@given(st.one_of(int_uniforms, categoricals, st.builds(Real, shapes, quanta)), us)
def test_the_position_of_a_discrete_draw_draws_it_again(distribution: Any, u: float) -> None:
    u = min(max(u, 1e-6), 1 - 1e-6)  # beyond, the tails of a normal have too few digits of `u`
    value = distribution.value(u)
    position = distribution.position(value)
    assert 0 <= position <= 1
    again = distribution.value(min(position, 1 - 2**-53))
    quantum = getattr(distribution, "q", None)
    # A step that holds almost no probability cannot be told from its neighbour.
    assert again == value or (quantum and abs(again - value) <= quantum * 1.001)


@given(st.builds(Real, shapes), st.floats(1e-6, 1 - 1e-6))
def test_the_position_of_a_continuous_draw_is_its_u(distribution: Real, u: float) -> None:
    assert distribution.position(distribution.value(u)) == pytest.approx(u, abs=1e-6)


@given(st.one_of(st.builds(Real, bounds(positives).map(lambda pair: LogUniform(*pair))), int_uniforms), us)
def test_draws_stay_within_their_bounds(distribution: Any, u: float) -> None:
    low, high = distribution.examples()
    assert low <= distribution.value(u) <= high


@given(reals, us)
def test_draws_are_short_decimals_that_json_keeps(distribution: Real, u: float) -> None:
    value = distribution.value(u)
    assert json.loads(json.dumps(value)) == value
    assert math.isfinite(value)
    if distribution.q is None:
        return
    if float(distribution.q).is_integer():
        assert isinstance(value, int)
        assert value % distribution.q == 0
    else:
        assert value == float(f"{round(value / distribution.q) * distribution.q:.14g}")


def test_quantised_values_are_those_that_a_person_writes() -> None:
    tenths = Real(Uniform(0.0, 0.5), 0.1)
    assert [tenths.level(k) for k in range(6)] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert sorted({tenths.value(k / 1000) for k in range(1000)}) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert str(Real(Uniform(-0.5, 0.5), 0.4).value(0.5)) == "0.0"  # never -0.0


@pytest.mark.parametrize(
    ("low", "high", "q", "grid"),
    [
        (0, 8, 4, [0, 4, 8]),  # W&B's own loses the 8
        (0, 10, 4, [0, 4, 8]),
        (1, 9, 4, [1, 5, 9]),
        (0.1, 0.7, 0.2, [0.1, 0.3, 0.5, 0.7]),
        (0.0, 0.3, 0.1, [0.0, 0.1, 0.2, 0.3]),
        (0.5, 3.5, 1, [0.5, 1.5, 2.5, 3.5]),
    ],
)
def test_a_q_uniform_grid_counts_from_its_minimum_and_keeps_its_maximum(
    low: float, high: float, q: float, grid: list[float]
) -> None:
    distribution = Real(Uniform(low, high), q)
    assert [distribution.level(k) for k in range(distribution.num_levels or 0)] == grid


@given(st.one_of(categoricals, int_uniforms), st.data())
def test_the_levels_of_a_grid_are_what_can_be_drawn(distribution: Any, data: st.DataObject) -> None:
    levels = [distribution.level(k) for k in range(distribution.num_levels)]
    assert len(set(levels)) == len(levels)
    assert distribution.value(data.draw(us)) in levels


def test_only_discrete_distributions_without_probabilities_have_a_grid() -> None:
    assert Real(Uniform(0, 1)).num_levels is None
    assert Real(Normal(0, 1), 1).num_levels is None
    assert Categorical((1, 2), (0.5, 0.5)).num_levels is None
    assert Constant([1]).num_levels == 1


def test_an_improbable_value_is_never_drawn() -> None:
    shares = (0.0, 0.1, 0.2, 0.7 - 1e-7, 0.0)  # rounded, as files write them
    weighted = Categorical(("a", "b", "c", "d", "e"), shares)
    assert {weighted.value(u / 1000) for u in range(1000)} == {"b", "c", "d"}
    assert weighted.value(1 - 2**-53) == "d"
    assert weighted.examples() == ["b", "c", "d"]


def test_true_is_not_one() -> None:
    mixed = Categorical((1, True, 0, False))
    assert [mixed.index(value) for value in (1, True, 0, False)] == [0, 1, 2, 3]
