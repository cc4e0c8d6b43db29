"""Many estimates at once, such as the differences of all pairs of a thousand configurations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vidcls.arrays import Floats
from vidcls.statistics.estimate import Estimate, p_values


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
        return p_values(self.values, self.std_errors, self.dofs)
