"""What a parameter of a sweep may be drawn from: every distribution of the W&B sweep format.

https://docs.wandb.ai/guides/sweeps/sweep-config-keys/#distribution-options-for-random-and-bayesian-search

Each draws by its inverse cumulative distribution function, as W&B's own search does, so a number `u` in [0,
1) says all about a draw. Two differences, on purpose: a quantised value is the decimal that a person would
write (0.3, not 0.30000000000000004) and whole where the quantum is whole; and the grid of a `q_uniform`
includes its maximum, which W&B's loses.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Protocol

TAIL = 1e-4
"""Share of the draws that may lie beyond `examples()` on each side, where a distribution has no ends."""
_SMALLEST_U = 2.0**-54


class Shape(Protocol):
    """A continuous distribution."""

    def quantile(self, u: float) -> float:
        """The value that a draw stays below with probability `u`."""

    def share_below(self, x: float) -> float:
        """The probability of a draw below `x`."""

    @property
    def ends(self) -> tuple[float, float] | None:
        """The smallest and the largest value, None where there is no such thing."""


@dataclass(frozen=True)
class Uniform:
    """Evenly from `low` to `high`."""

    low: float
    high: float

    def quantile(self, u: float) -> float:
        """The value that a draw stays below with probability `u`."""
        return min(self.low + u * (self.high - self.low), self.high)

    def share_below(self, x: float) -> float:
        """The probability of a draw below `x`."""
        return _clip((x - self.low) / (self.high - self.low))

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both bounds."""
        return self.low, self.high


@dataclass(frozen=True)
class LogUniform:
    """`log x` evenly from `log low` to `log high`; `log(1 / x)` is then even too, which W&B calls inverse."""

    low: float
    high: float

    def quantile(self, u: float) -> float:
        """The value that a draw stays below with probability `u`."""
        return float(min(max(self.low * (self.high / self.low) ** u, self.low), self.high))

    def share_below(self, x: float) -> float:
        """The probability of a draw below `x`."""
        return _clip(math.log(x / self.low) / math.log(self.high / self.low)) if x > 0 else 0.0

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both bounds."""
        return self.low, self.high


@dataclass(frozen=True)
class Normal:
    """Mean `mu`, standard deviation `sigma`."""

    mu: float
    sigma: float

    def quantile(self, u: float) -> float:
        """The value that a draw stays below with probability `u`."""
        return NormalDist(self.mu, self.sigma).inv_cdf(max(u, _SMALLEST_U))

    def share_below(self, x: float) -> float:
        """The probability of a draw below `x`."""
        return NormalDist(self.mu, self.sigma).cdf(x)

    @property
    def ends(self) -> tuple[float, float] | None:
        """None: there are none."""
        return None


@dataclass(frozen=True)
class LogNormal:
    """`log x` is normal with mean `mu` and standard deviation `sigma`."""

    mu: float
    sigma: float

    def quantile(self, u: float) -> float:
        """The value that a draw stays below with probability `u`."""
        return math.exp(NormalDist(self.mu, self.sigma).inv_cdf(max(u, _SMALLEST_U)))

    def share_below(self, x: float) -> float:
        """The probability of a draw below `x`."""
        return NormalDist(self.mu, self.sigma).cdf(math.log(x)) if x > 0 else 0.0

    @property
    def ends(self) -> tuple[float, float] | None:
        """None: there is no largest value."""
        return None


@dataclass(frozen=True)
class Beta:
    """The beta distribution on [0, 1] with both its parameters above 0."""

    a: float
    b: float

    def quantile(self, u: float) -> float:
        """The value that a draw stays below with probability `u`."""
        from scipy.special import betaincinv

        return float(betaincinv(self.a, self.b, max(u, _SMALLEST_U)))

    def share_below(self, x: float) -> float:
        """The probability of a draw below `x`."""
        from scipy.special import betainc

        return float(betainc(self.a, self.b, _clip(x)))

    @property
    def ends(self) -> tuple[float, float] | None:
        """None: a draw comes near 0 and 1 or does not, by `a` and `b`."""
        return None


@dataclass(frozen=True)
class Constant:
    """One JSON value, never searched."""

    constant: Any

    def value(self, u: float) -> Any:  # noqa: ARG002
        """The constant."""
        return self.constant

    def examples(self) -> list[Any]:
        """The constant."""
        return [self.constant]

    @property
    def num_levels(self) -> int:
        """One."""
        return 1

    def level(self, k: int) -> Any:  # noqa: ARG002
        """The constant."""
        return self.constant


@dataclass(frozen=True)
class Categorical:
    """One of a list of JSON values, each as likely as its probability, or all alike."""

    values: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None

    def value(self, u: float) -> Any:
        """The draw that belongs to `u` in [0, 1)."""
        if self.probabilities is None:
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        reached = bisect_right(list(accumulate(self.probabilities)), u)
        # Where the sum falls short of 1 by rounding, the last value that can be drawn at all.
        last = max(k for k, probability in enumerate(self.probabilities) if probability > 0)
        return self.values[min(reached, last)]

    def index(self, value: Any) -> int:
        """Where a value stands in the list; to Python true equals 1, here it does not."""
        is_bool = isinstance(value, bool)
        return next(
            k for k, own in enumerate(self.values) if own == value and isinstance(own, bool) == is_bool
        )

    def position(self, value: Any) -> float:
        """The middle of the interval of `u` that draws a value."""
        at = self.index(value)
        shares = self.probabilities or (1 / len(self.values),) * len(self.values)
        return _clip(math.fsum(shares[:at]) + shares[at] / 2)

    def examples(self) -> list[Any]:
        """Every value that can be drawn."""
        shares = self.probabilities or (1.0,) * len(self.values)
        return [value for value, share in zip(self.values, shares, strict=True) if share > 0]

    @property
    def num_levels(self) -> int | None:
        """How many values a grid has; None with probabilities, which a grid could not honour."""
        return len(self.values) if self.probabilities is None else None

    def level(self, k: int) -> Any:
        """The k-th value of the grid."""
        return self.values[k]


@dataclass(frozen=True)
class IntUniform:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def value(self, u: float) -> int:
        """The draw that belongs to `u` in [0, 1)."""
        return min(self.low + int(u * (self.high - self.low + 1)), self.high)

    def position(self, value: Any) -> float:
        """The middle of the interval of `u` that draws a value."""
        return _clip((value - self.low + 0.5) / (self.high - self.low + 1))

    def examples(self) -> list[Any]:
        """Both ends."""
        return [self.low, self.high]

    @property
    def num_levels(self) -> int:
        """How many values a grid has."""
        return self.high - self.low + 1

    def level(self, k: int) -> int:
        """The k-th value of the grid."""
        return self.low + k


@dataclass(frozen=True)
class Real:
    """A number from a shape; with a quantum `q`, the nearest multiple of it, which may lie out of range."""

    shape: Shape
    q: float | None = None

    def value(self, u: float) -> float:
        """The draw that belongs to `u` in [0, 1)."""
        x = self.shape.quantile(u)
        return x if self.q is None else _decimal(round(x / self.q) * self.q, self.q)

    def position(self, value: Any) -> float:
        """A `u` that draws a value: of a quantised one, the middle of all that do."""
        half = (self.q or 0.0) / 2
        return _clip((self.shape.share_below(value - half) + self.shape.share_below(value + half)) / 2)

    def examples(self) -> list[Any]:
        """The smallest and the largest value; without such, all but a share of `TAIL` lie between these."""
        low, high = self.shape.ends or (self.shape.quantile(TAIL), self.shape.quantile(1 - TAIL))
        if self.q is None:
            return [low, high]
        return [_decimal(round(x / self.q) * self.q, self.q) for x in (low, high)]

    @property
    def num_levels(self) -> int | None:
        """How many values a grid has; None unless this is a `q_uniform`."""
        if self.q is None or not isinstance(self.shape, Uniform):
            return None
        # A quotient such as 0.3 / 0.1 falls short of the whole number that it means.
        return math.floor((self.shape.high - self.shape.low) / self.q * (1 + 1e-12) + 1e-9) + 1

    def level(self, k: int) -> float:
        """The k-th value of the grid: `low + k q`, as W&B counts them."""
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
