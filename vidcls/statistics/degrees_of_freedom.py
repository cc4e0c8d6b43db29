"""Degrees of freedom of a variance that is a sum of parts with few degrees of freedom each.

Satterthwaite's rule (1946, Biometrics Bull. 2:110) takes the estimated parts for the true ones:

    nu = (sum of parts)^2 / sum(part^2 / dof of the part)

Two seeds give a variance with one degree of freedom. It is often far too small by chance; then the rule
trusts the groups, which have many, and the interval is too short: it covers 88 to 94 % of the means of
configurations with two seeds, and Holm's correction, which needs the tails, lets 5 to 9 % false alarms pass.
Hence two changes:

- Within the rule alone, not in the variance itself, the part of the seeds is replaced by its upper confidence
  bound of 70 % (by the chi-squared distribution), so that it is rarely taken for too small.
- The part of the groups is what is left of a jackknife variance after the noise of the runs is taken away.
  Its uncertainty is that of the whole, which is larger: a difference of variances has fewer degrees of
  freedom (Gaylor and Hopper 1969, Technometrics 11:691). They warn of the rule for a small rest, so it stops
  at a half.

`python -m benchmarks.verdicts --table` measures the coverage that follows; both changes were chosen by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import chdtri

from vidcls.arrays import Floats

_BOUND = 0.7
"""Confidence of the upper bound of the part of the seeds."""
_LEAST_SHARE = 0.5
"""Smallest share of the groups in the jackknife variance for which the rule of a difference is followed."""


def crossed_dof(
    seed_parts: Sequence[Floats | float],
    num_seeds: Sequence[int],
    *,
    group_part: Floats | float,
    noise: Floats | float,
    num_groups: int,
) -> Any:
    """Degrees of freedom of the sum of all parts, of one estimate or of many at once, `[...]`.

    Args:
        seed_parts: s^2 / J of each configuration with two or more seeds, each `[...]`; may be empty.
        num_seeds: J of each of them.
        group_part: Part of the groups, `[...]`.
        noise: Noise of the runs that was taken away from the jackknife variance to get that part, `[...]`.
        num_groups: Number of groups.

    Returns:
        Degrees of freedom `[...]`; infinite where all parts are zero.
    """
    group_part = np.asarray(group_part, np.float64)
    whole = group_part + noise
    share = np.divide(group_part, whole, out=np.ones_like(whole), where=whole > 0)
    spread = group_part**2 / ((num_groups - 1) * np.maximum(share, _LEAST_SHARE) ** 2)
    total = group_part
    if seed_parts:
        bound = _upper_factor(num_seeds)
        total = total + bound * sum(seed_parts)
        for part, num in zip(seed_parts, num_seeds, strict=True):
            spread = spread + (bound * np.asarray(part)) ** 2 / (num - 1)
    return np.divide(total**2, spread, out=np.full_like(spread, np.inf), where=spread > 0)


def _upper_factor(num_seeds: Sequence[int]) -> float:
    """Upper bound of the sum of the seeds' parts divided by its estimate, as if all spreads were equal."""
    shares = 1 / np.asarray(num_seeds, np.float64)
    dof = shares.sum() ** 2 / (shares**2 / (np.asarray(num_seeds) - 1)).sum()
    return float(dof / chdtri(dof, _BOUND))
