"""A value with its 95 % confidence interval and p-values, by Student's t."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

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
        return float(stdtrit(self.dof, (1 + LEVEL) / 2)) * self.std_error if self.std_error else 0.0

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the true value is zero."""
        if not self.std_error:
            return float(self.value == 0)
        return float(2 * stdtr(self.dof, -abs(self.value) / self.std_error))

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
        return float(stdtr(self.dof, (abs(self.value) - margin) / self.std_error))
