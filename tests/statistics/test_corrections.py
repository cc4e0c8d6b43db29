"""Corrections for many comparisons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.statistics.corrections import holm


def test_holm_corrects_as_r_does() -> None:
    """`p.adjust(p, "holm")` of R."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.2, 0.001, 0.04]) == pytest.approx([0.2, 0.003, 0.08])
    assert holm([0.6, 0.001, 0.4, 1.0]) == pytest.approx([1.0, 0.004, 1.0, 1.0])
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_correction_is_that_of_its_paper(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2, 0.9):
        rejected = set()
        for rank, number in enumerate(sorted(range(len(p_values)), key=lambda n: p_values[n])):
            if p_values[number] * (len(p_values) - rank) > level:
                break
            rejected.add(number)
        assert {number for number, p in enumerate(adjusted) if p <= level} == rejected
