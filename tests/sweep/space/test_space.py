"""Grids and random points as pure functions of a number."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vidcls.spec.scalars import scalar
from vidcls.spec.yaml import Node, parse_value
from vidcls.sweep.space.distributions import Categorical, Constant, IntUniform, Real, Uniform
from vidcls.sweep.space.space import Space, overrides

SPACE = Space(
    {"a": Categorical(("x", "y")), "b": IntUniform(1, 3), "c": Constant(7), "d": Real(Uniform(0, 4), 2)}
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_a_grid_has_every_point_once_the_last_parameter_fastest() -> None:
    points = [SPACE.grid_point(i) for i in range(SPACE.num_points or 0)]
    expected = product(("x", "y"), (1, 2, 3), (7,), (0, 2, 4))
    assert points == [dict(zip("abcd", values, strict=True)) for values in expected]


@pytest.mark.parametrize("i", [-1, 18])
def test_a_point_outside_of_the_grid_is_refused(i: int) -> None:
    with pytest.raises(ValueError, match="the grid has 18 points"):
        SPACE.grid_point(i)


def test_a_huge_grid_is_never_listed() -> None:
    space = Space({name: IntUniform(0, 10**9) for name in "abc"})
    assert space.num_points == (10**9 + 1) ** 3
    assert space.grid_point(10**9 + 1) == {"a": 0, "b": 1, "c": 0}


def test_a_continuous_space_has_no_grid() -> None:
    space = Space({"a": IntUniform(0, 1), "b": Real(Uniform(0, 1))})
    assert space.num_points is None
    with pytest.raises(ValueError, match="None points"):
        space.grid_point(0)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_random_point_is_a_function_of_seed_and_number(seed: int, i: int) -> None:
    space = Space({"a": Real(Uniform(0, 1)), "b": Real(Uniform(0, 1))})
    point = space.random_point(seed, i)
    assert point == space.random_point(seed, i)
    assert point["a"] != point["b"]
    assert point != space.random_point(seed, i ^ 1)
    assert point != space.random_point(seed ^ 1, i)


def test_random_points_fill_the_space_evenly_and_independently() -> None:
    space = Space({"a": Real(Uniform(0, 1)), "b": Real(Uniform(0, 1))})
    points = [space.random_point(3, i) for i in range(2000)]
    a, b = ([point[name] for point in points] for name in "ab")
    for values in (a, b, [abs(x - y) for x, y in zip(a[1:], a[:-1], strict=True)]):
        cdf = "uniform" if values in (a, b) else lambda d: 2 * d - d * d
        assert stats.kstest(values, cdf).pvalue > 1e-3
    assert abs(stats.spearmanr(a, b).statistic) < 0.07
    assert abs(stats.spearmanr(a[1:], a[:-1]).statistic) < 0.07


@given(json_values)
def test_an_override_means_exactly_its_value(value: Any) -> None:
    (text,) = overrides({"optim.lr": value})
    key, _, written = text.partition("=")
    assert key == "optim.lr"
    if isinstance(value, str):
        assert written == value  # what a setting that takes text makes of it
    elif isinstance(value, list | dict):
        node = parse_value(written)
        assert isinstance(node, Node)
        assert repr(node.plain()) == repr(value)
    else:
        assert repr(scalar(written)) == repr(value)
