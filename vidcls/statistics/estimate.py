"""A value with its 95 % confidence interval and p-values, by Student's t."""

from __future__ import annotations

from dataclasses import dataclass

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
        std_error: Standard error of the value; zero if nothing varied, which may be chance.
        dof: Degrees of freedom of the standard error; infinite if it is known exactly. Of a standard error of
            zero, the number of groups that agree but one; infinite if that is not known.
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
        """Two-sided p-value of the hypothesis that the true value is zero, see `p_values`."""
        one = (np.asarray(part, np.float64) for part in (self.value, self.std_error, self.dof))
        return float(p_values(*one))

    @property
    def is_clear(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.p_value < 1 - LEVEL if not self.std_error else self.low > 0 or self.high < 0

    def p_equivalent(self, margin: float) -> float:
        """P-value of the hypothesis that the true value is `margin` or more away from zero.

        Two one-sided tests (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657); below 0.05 if the 90 %
        interval lies within the margin. If nothing varied, the chance that no group of these
        differs although a share `margin` of all groups does.

        Args:
            margin: Largest difference that does not matter, above zero.
        """
        if not self.std_error:
            return 1.0 if self.value else (1 - margin) ** (self.dof + 1)
        return float(stdtr(self.dof, (abs(self.value) - margin) / self.std_error))


def p_values(values: Floats, std_errors: Floats, dofs: Floats) -> Floats:
    """Two-sided p-values of the hypotheses that the true values are zero, `[...]`.

    If nothing varied, that of a sign test: all groups agree, one more than there are degrees of freedom; 1 if
    their number is not known.

    Args:
        values: Estimated values, `[...]`.
        std_errors: Their standard errors, `[...]`.
        dofs: Their degrees of freedom, `[...]`.
    """
    varied = std_errors > 0
    ratios = np.abs(values) / np.where(varied, std_errors, 1.0)
    by_signs = np.where((values != 0) & np.isfinite(dofs), 0.5**dofs, 1.0)
    return np.asarray(np.where(varied, 2 * stdtr(dofs, -ratios), by_signs))
