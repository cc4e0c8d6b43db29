"""Early stopping as W&B defines it (https://docs.wandb.ai/guides/sweeps/sweep-config-keys/#early_terminate).

After Li et al. 2018, arXiv:1603.06560. The k-th iteration of a trial is its k-th logged value of the metric,
here its k-th epoch. At certain iterations, the bands, a trial must be among the best 1/eta of all trials that
reached the band, itself included; running, finished and failed trials count alike. A trial is evaluated at
the last band that it has reached, and again after every epoch, since later trials may raise the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vidcls.spec.yaml import Node
from vidcls.sweep.config.reading import Reader

Goal = Literal["minimize", "maximize"]
_NUM_BANDS = 100
_COUNTS = ("min_iter", "max_iter", "s")


@dataclass(frozen=True)
class Hyperband:
    """The section `early_terminate`.

    Attributes:
        min_iter: First band; each later band is `eta` times the one before. None if max_iter is given.
        max_iter: The last band is `max_iter / eta`, the first `max_iter / eta**s`. None if min_iter is given.
        s: Maximum number of bands from max_iter.
        eta: The best 1/eta of the trials at a band continue.
        strict: Compare the value of a trial at the band; otherwise its best value so far, which stops fewer.
    """

    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3.0
    strict: bool = True


def read_hyperband(reader: Reader, node: Node) -> Hyperband | None:
    """Read the section `early_terminate` of a sweep file; mistakes are added to the reader."""
    num_before = len(reader.mistakes)
    key = "early_terminate"
    given = reader.section(node, key, ("type", "min_iter", "max_iter", "s", "eta", "strict"))
    if "type" in given:
        reader.choice(given["type"], f"{key}.type", ("hyperband",))
    elif isinstance(node.value, dict):
        reader.wrong(node, f"{key}.type", "required, but not set: hyperband")
    counts = {
        name: reader.whole(given[name], f"{key}.{name}", at_least=1) for name in given if name in _COUNTS
    }
    if "min_iter" in given:
        for name in ("max_iter", "s"):
            if name in given:
                reader.wrong(
                    given[name],
                    f"{key}.{name}",
                    "has no effect together with min_iter; give only one of them",
                )
    elif not {"max_iter", "s"} <= given.keys() and isinstance(node.value, dict):
        reader.wrong(node, key, "needs min_iter, or max_iter and s")
    eta = reader.number(given["eta"], f"{key}.eta") if "eta" in given else 3.0
    if eta is not None and eta <= 1:
        reader.wrong(given["eta"], f"{key}.eta", f"must be above 1, got {eta}")
    strict = reader.flag(given["strict"], f"{key}.strict") if "strict" in given else True
    if len(reader.mistakes) > num_before or eta is None or strict is None:
        return None
    rule = Hyperband(**counts, eta=eta, strict=strict)
    if not bands(rule):
        reader.wrong(node, key, f"stops no trial: max_iter / eta is {rule.max_iter} / {eta:g}, below 1")
    return rule


def bands(section: Hyperband) -> list[int]:
    """Iterations at which a trial may be stopped, ascending; empty if `max_iter / eta` is below 1."""
    found: set[int] = set()
    if section.min_iter is not None:
        found = {int(section.min_iter * section.eta**k) for k in range(_NUM_BANDS)}
    else:
        assert section.max_iter is not None
        assert section.s is not None
        band: float = section.max_iter
        for _ in range(section.s):
            band /= section.eta
            if band < 1:
                break
            found.add(int(band))
    return sorted(found)


def should_stop(
    history: Sequence[float], others: Sequence[Sequence[float]], *, section: Hyperband, goal: Goal
) -> bool:
    """Decide whether to stop a running trial.

    Args:
        history: Values of the trial, one per epoch. Here and in `others`, non-finite values are ignored.
        others: Values of every other trial that logged any, in any state.
        section: Stopping rule.
        goal: Whether the metric is minimised or maximised.
    """
    finite = [list(filter(math.isfinite, values)) for values in (history, *others)]
    at_band = {band: [h[band - 1] for h in finite[1:] if len(h) >= band] for band in bands(section)}
    return should_stop_at(finite[0], at_band, section=section, goal=goal)


def should_stop_at(
    history: Sequence[float], at_band: Mapping[int, Sequence[float]], *, section: Hyperband, goal: Goal
) -> bool:
    """Same decision as `should_stop`, from the values of the other trials at each band only."""
    reached = [band for band in bands(section) if band <= len(history)]
    if not reached:
        return False
    sign = -1.0 if goal == "maximize" else 1.0
    own = [sign * value for value in history]
    at = reached[-1]
    values = sorted([*(sign * value for value in at_band.get(at, ())), own[at - 1]])
    threshold = values[int(1.0 / section.eta * len(values))]
    return (own[at - 1] if section.strict else min(own)) > threshold
