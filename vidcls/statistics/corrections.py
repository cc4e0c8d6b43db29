"""Corrections of p-values for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float], *, num_comparisons: int | None = None) -> list[float]:
    """P-values corrected for all comparisons together (Holm 1979, Scand. J. Statist. 6:65).

    Args:
        p_values: P-value of each comparison.
        num_comparisons: Number of comparisons that were made, if it is larger than what is listed here: the
            others count as if each of them had a smaller p-value, which holds the rate whatever they are.
    """
    num = max(num_comparisons or 0, len(p_values))
    first = num - len(p_values)
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        factor = num if first else num - rank
        largest = max(largest, min(1.0, factor * p_values[number]))
        adjusted[number] = largest
    return adjusted
