"""Search space of a sweep; each point is a pure function of its number."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vidcls.sweep.space.distributions import Constant, Distribution

Point = dict[str, Any]
"""JSON value by dotted key, including constants."""


@dataclass(frozen=True)
class Space:
    """Parameters of a sweep.

    Attributes:
        parameters: Distribution by dotted key, in the order in which W&B counts through a grid: sorted by the
            keys of each level.
    """

    parameters: Mapping[str, Distribution]

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted keys of the parameters."""
        return tuple(self.parameters)

    @property
    def searched(self) -> dict[str, Distribution]:
        """Parameters that are not constant."""
        return {name: dist for name, dist in self.parameters.items() if not isinstance(dist, Constant)}

    @property
    def num_points(self) -> int | None:
        """Number of points of the grid; None if a parameter has no grid."""
        levels = [distribution.num_levels for distribution in self.parameters.values()]
        return None if None in levels else math.prod(level for level in levels if level is not None)

    def grid_point(self, i: int) -> Point:
        """i-th point of the grid; the last parameter varies fastest, as in W&B."""
        num_points = self.num_points
        if num_points is None or not 0 <= i < num_points:
            raise ValueError(f"point {i}: the grid has {num_points} points")
        point: Point = {}
        for name, distribution in reversed(list(self.parameters.items())):
            num_levels = distribution.num_levels
            assert num_levels is not None
            i, k = divmod(i, num_levels)
            point[name] = distribution.level(k)
        return {name: point[name] for name in self.parameters}

    def random_point(self, seed: int, i: int) -> Point:
        """i-th random point of a seed; both numbers are 0 to 2**64 - 1.

        A counter-based generator keyed by seed and `i` (Philox, doi:10.1145/2063384.2063405) gives any point
        without computing the points before it.
        """
        import numpy as np

        draws = np.random.Generator(np.random.Philox(key=np.array([seed, i], dtype=np.uint64)))
        return {name: dist.value(float(draws.random())) for name, dist in self.parameters.items()}


def overrides(point: Point) -> tuple[str, ...]:
    """A point as overrides of a spec, such as `optim.lr=0.001`, `model.join=gru`."""
    return tuple(f"{key}={_written(value)}" for key, value in point.items())


def _written(value: Any) -> str:
    """A JSON value in the syntax of an override: text unchanged, other values as YAML on one line."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False)
    # YAML and JSON escape rare characters in different ways.
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
