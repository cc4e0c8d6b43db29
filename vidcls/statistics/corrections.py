"""Corrections of p-values for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidcls.arrays import Floats, Ints


def holm(p_values: Sequence[float] | Floats, *, num_comparisons: int | None = None) -> list[float]:
    """P-values corrected for all comparisons together (Holm 1979, Scand. J. Statist. 6:65).

    Args:
        p_values: P-value of each comparison.
        num_comparisons: Number of comparisons that were made, if it is larger than what is listed here: the
            others count as if each of them had a smaller p-value, which holds the rate whatever they are.
    """
    p = np.asarray(p_values, np.float64)
    num = max(num_comparisons or 0, len(p))
    factors: Ints | int = num if num > len(p) else num - np.arange(len(p))
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * p[order]))
    found: list[float] = adjusted.tolist()
    return found
