"""A value with its 95 % confidence interval and p-values, by Student's t; one, or many at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from vidcls.arrays import Floats

LEVEL = 0.95
"""Confidence level of all intervals."""


@dataclass(frozen=True)
class Estimate:
    """Estimate of a mean, or of a difference of means.

    Attributes:
        value: Estimated value.
        std_error: Standard error of the value.
        dof: Degrees of freedom of the standard error; infinite if it is zero or known exactly.
    """

    value: float
    std_error: float
    dof: float

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + self.half_width

    @property
    def half_width(self) -> float:
        """Half of the width of the 95 % interval."""
        return float(_half_width(self.std_error, self.dof))

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the true value is zero."""
        return float(_p_value(self.value, self.std_error, self.dof))

    @property
    def is_clear(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0

    def p_equivalent(self, margin: float) -> float:
        """P-value of the hypothesis that the true value is `margin` or more away from zero.

        Two one-sided tests (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657); below 0.05 if the 90 %
        interval lies within the margin.

        Args:
            margin: Largest difference that does not matter, above zero.
        """
        if not self.std_error:
            return float(abs(self.value) >= margin)
        return float(stdtr(self.dof, -(margin - abs(self.value)) / self.std_error))


@dataclass(frozen=True, eq=False)
class Estimates:
    """Many estimates, each as `Estimate`, such as the differences of all pairs of a thousand configurations.

    Attributes:
        values: Estimated values, `[E]`.
        std_errors: Standard errors, `[E]`.
        dofs: Degrees of freedom, `[E]`.
    """

    values: Floats
    std_errors: Floats
    dofs: Floats

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, number: int) -> Estimate:
        """One of the estimates."""
        return Estimate(float(self.values[number]), float(self.std_errors[number]), float(self.dofs[number]))

    def __iter__(self) -> Iterator[Estimate]:
        return (self[number] for number in range(len(self)))

    @property
    def p_values(self) -> Floats:
        """P-value of each estimate, `[E]`."""
        return _p_value(self.values, self.std_errors, self.dofs)


def _half_width(std_error: Any, dof: Any) -> Floats:
    return np.asarray(np.where(np.asarray(std_error) > 0, stdtrit(dof, (1 + LEVEL) / 2) * std_error, 0.0))


def _p_value(value: Any, std_error: Any, dof: Any) -> Floats:
    has_spread = np.asarray(std_error) > 0
    ratio = np.abs(value) / np.where(has_spread, std_error, 1.0)
    return np.asarray(np.where(has_spread, 2 * stdtr(dof, -ratio), np.equal(value, 0)))
