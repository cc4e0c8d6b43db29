"""Many estimates at once, such as the differences of all pairs of a thousand configurations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from vidcls.arrays import Floats
from vidcls.statistics.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Estimates:
    """Many estimates, see `Estimate`.

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
        """P-value of each estimate, as `Estimate.p_value`, `[E]`."""
        has_spread = self.std_errors > 0
        ratios = np.abs(self.values) / np.where(has_spread, self.std_errors, 1.0)
        by_signs = np.where((self.values != 0) & np.isfinite(self.dofs), 0.5**self.dofs, 1.0)
        return np.asarray(np.where(has_spread, 2 * stdtr(self.dofs, -ratios), by_signs))
