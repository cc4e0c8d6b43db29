"""Distributions of sweep parameters: every distribution of the W&B sweep format.

https://docs.wandb.ai/guides/sweeps/sweep-config-keys/#distribution-options-for-random-and-bayesian-search

Each draws by its inverse cumulative distribution function, as W&B's own search does, so a number `u` in [0,
1) determines a draw. Two differences are deliberate: a quantised value is the shortest decimal (0.3, not
0.30000000000000004) and whole if the quantum is whole; and the grid of a `q_uniform` includes its maximum,
which the grid of W&B omits.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Protocol

TAIL = 1e-4
"""Share of the draws that may lie beyond `examples()` on each side, if a distribution has no ends."""
_SMALLEST_U = 2.0**-54


class Shape(Protocol):
    """A continuous distribution."""

    def quantile(self, u: float) -> float:
        """Value below which a draw lies with probability `u`."""

    def share_below(self, x: float) -> float:
        """Probability of a draw below `x`."""

    @property
    def ends(self) -> tuple[float, float] | None:
        """Smallest and largest value; None if the distribution is unbounded."""


@dataclass(frozen=True)
class Uniform:
    """Uniform distribution from `low` to `high`."""

    low: float
    high: float

    def quantile(self, u: float) -> float:
        """Value below which a draw lies with probability `u`."""
        return min(self.low + u * (self.high - self.low), self.high)

    def share_below(self, x: float) -> float:
        """Probability of a draw below `x`."""
        return _clip((x - self.low) / (self.high - self.low))

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both bounds."""
        return self.low, self.high


@dataclass(frozen=True)
class LogUniform:
    """`log x` is uniform from `log low` to `log high`; so is `log(1 / x)`, which W&B calls inverse."""

    low: float
    high: float

    def quantile(self, u: float) -> float:
        """Value below which a draw lies with probability `u`."""
        return float(min(max(self.low * (self.high / self.low) ** u, self.low), self.high))

    def share_below(self, x: float) -> float:
        """Probability of a draw below `x`."""
        return _clip(math.log(x / self.low) / math.log(self.high / self.low)) if x > 0 else 0.0

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both bounds."""
        return self.low, self.high


@dataclass(frozen=True)
class Normal:
    """Normal distribution with mean `mu` and standard deviation `sigma`."""

    mu: float
    sigma: float

    def quantile(self, u: float) -> float:
        """Value below which a draw lies with probability `u`."""
        return NormalDist(self.mu, self.sigma).inv_cdf(max(u, _SMALLEST_U))

    def share_below(self, x: float) -> float:
        """Probability of a draw below `x`."""
        return NormalDist(self.mu, self.sigma).cdf(x)

    @property
    def ends(self) -> tuple[float, float] | None:
        """None, because the distribution is unbounded."""
        return None


@dataclass(frozen=True)
class LogNormal:
    """`log x` is normal with mean `mu` and standard deviation `sigma`."""

    mu: float
    sigma: float

    def quantile(self, u: float) -> float:
        """Value below which a draw lies with probability `u`."""
        return math.exp(NormalDist(self.mu, self.sigma).inv_cdf(max(u, _SMALLEST_U)))

    def share_below(self, x: float) -> float:
        """Probability of a draw below `x`."""
        return NormalDist(self.mu, self.sigma).cdf(math.log(x)) if x > 0 else 0.0

    @property
    def ends(self) -> tuple[float, float] | None:
        """None, because there is no largest value."""
        return None


@dataclass(frozen=True)
class Beta:
    """Beta distribution on [0, 1]; both parameters are above 0."""

    a: float
    b: float

    def quantile(self, u: float) -> float:
        """Value below which a draw lies with probability `u`."""
        from scipy.special import betaincinv

        return float(betaincinv(self.a, self.b, max(u, _SMALLEST_U)))

    def share_below(self, x: float) -> float:
        """Probability of a draw below `x`."""
        from scipy.special import betainc

        return float(betainc(self.a, self.b, _clip(x)))

    @property
    def ends(self) -> tuple[float, float] | None:
        """None, because it depends on `a` and `b` whether draws come close to 0 and 1."""
        return None


@dataclass(frozen=True)
class Constant:
    """One fixed JSON value, which is not searched."""

    constant: Any

    def value(self, u: float) -> Any:  # noqa: ARG002
        """The constant value."""
        return self.constant

    def examples(self) -> list[Any]:
        """The constant value."""
        return [self.constant]

    @property
    def num_levels(self) -> int:
        """One, because a constant has a single value."""
        return 1

    def level(self, k: int) -> Any:  # noqa: ARG002
        """The constant value."""
        return self.constant


@dataclass(frozen=True)
class Categorical:
    """One of a list of JSON values, with the given probabilities or all equally likely."""

    values: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None

    def value(self, u: float) -> Any:
        """Draw that belongs to `u` in [0, 1)."""
        if self.probabilities is None:
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        reached = bisect_right(list(accumulate(self.probabilities)), u)
        # If the sum is below 1 by rounding, take the last value with a probability above 0.
        last = max(k for k, probability in enumerate(self.probabilities) if probability > 0)
        return self.values[min(reached, last)]

    def index(self, value: Any) -> int:
        """Index of a value in the list; unlike in Python, true does not equal 1."""
        is_bool = isinstance(value, bool)
        return next(
            k for k, own in enumerate(self.values) if own == value and isinstance(own, bool) == is_bool
        )

    def position(self, value: Any) -> float:
        """Midpoint of the interval of `u` that draws a value."""
        at = self.index(value)
        shares = self.probabilities or (1 / len(self.values),) * len(self.values)
        return _clip(math.fsum(shares[:at]) + shares[at] / 2)

    def examples(self) -> list[Any]:
        """All values that can be drawn."""
        shares = self.probabilities or (1.0,) * len(self.values)
        return [value for value, share in zip(self.values, shares, strict=True) if share > 0]

    @property
    def num_levels(self) -> int | None:
        """Number of values on a grid; None if there are probabilities, which a grid cannot respect."""
        return len(self.values) if self.probabilities is None else None

    def level(self, k: int) -> Any:
        """k-th value of the grid."""
        return self.values[k]


@dataclass(frozen=True)
class IntUniform:
    """Whole number from `low` to `high`, both included."""

    low: int
    high: int

    def value(self, u: float) -> int:
        """Draw that belongs to `u` in [0, 1)."""
        return min(self.low + int(u * (self.high - self.low + 1)), self.high)

    def position(self, value: Any) -> float:
        """Midpoint of the interval of `u` that draws a value."""
        return _clip((value - self.low + 0.5) / (self.high - self.low + 1))

    def examples(self) -> list[Any]:
        """Both bounds."""
        return [self.low, self.high]

    @property
    def num_levels(self) -> int:
        """Number of values on a grid."""
        return self.high - self.low + 1

    def level(self, k: int) -> int:
        """k-th value of the grid."""
        return self.low + k


@dataclass(frozen=True)
class Real:
    """Number drawn from a shape; with a quantum `q`, its nearest multiple, which may be out of range."""

    shape: Shape
    q: float | None = None

    def value(self, u: float) -> float:
        """Draw that belongs to `u` in [0, 1)."""
        x = self.shape.quantile(u)
        return x if self.q is None else _decimal(round(x / self.q) * self.q, self.q)

    def position(self, value: Any) -> float:
        """A `u` that draws a value; for a quantised value, the midpoint of all such `u`."""
        half = (self.q or 0.0) / 2
        return _clip((self.shape.share_below(value - half) + self.shape.share_below(value + half)) / 2)

    def examples(self) -> list[Any]:
        """Smallest and largest value; if unbounded, quantiles that leave a share of `TAIL` on each side."""
        low, high = self.shape.ends or (self.shape.quantile(TAIL), self.shape.quantile(1 - TAIL))
        if self.q is None:
            return [low, high]
        return [_decimal(round(x / self.q) * self.q, self.q) for x in (low, high)]

    @property
    def num_levels(self) -> int | None:
        """Number of values on a grid; None unless this is a `q_uniform`."""
        if self.q is None or not isinstance(self.shape, Uniform):
            return None
        # A quotient such as 0.3 / 0.1 is slightly below the intended whole number.
        return math.floor((self.shape.high - self.shape.low) / self.q * (1 + 1e-12) + 1e-9) + 1

    def level(self, k: int) -> float:
        """k-th value of the grid: `low + k q`, as W&B counts."""
        assert self.q is not None
        assert isinstance(self.shape, Uniform)
        x = self.shape.low + k * self.q
        return _decimal(x, self.q if float(self.shape.low).is_integer() else self.shape.low)


Distribution = Constant | Categorical | IntUniform | Real


def _decimal(x: float, q: float) -> float:
    if float(q).is_integer():
        return round(x)
    return float(f"{x:.14g}") + 0.0  # no -0.0


def _clip(share: float) -> float:
    return min(max(share, 0.0), 1.0)
