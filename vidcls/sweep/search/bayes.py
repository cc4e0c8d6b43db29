"""Bayesian search by Optuna's tree-structured Parzen estimator (TPE), on the results in our own storage.

After Bergstra et al. 2011 (NeurIPS). Optuna's storage is not used: it stalls or breaks when a worker is
killed. A study in memory holds all observations, ordered by number. Running configurations are included and
count as bad (`constant_liar`), so that workers that ask at the same time do not all get the same point. Each
ask seeds the sampler from (seed, number).

A distribution is searched over the `u` in [0, 1] of its draws (vidcls/sweep/space/distributions.py), where
it is uniform, as W&B's own search does: so the prior is exactly the distribution of the file, whether normal,
beta or quantised. Whole numbers and categories without probabilities use Optuna's own distributions, which
treat them as discrete.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vidcls.sweep.config.file import Metric
from vidcls.sweep.search.searcher import Observation
from vidcls.sweep.space.distributions import Categorical, Constant, Distribution, IntUniform
from vidcls.sweep.space.space import Point, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

NUM_RANDOM = 10
"""Number of configurations with a value before the first point that is not random."""


class BayesSearcher:
    """Asks Optuna's sampler; keeps its study between asks for speed only."""

    num_configurations: int | None = None

    def __init__(self, space: Space, metric: Metric, *, seed: int) -> None:
        self._space = space
        self._metric = metric
        self._seed = seed
        self._study: _Study | None = None

    def can_ask(self, number: int) -> bool:  # noqa: ARG002
        """Any point can be chosen at any time, by the results so far."""
        return True

    def ask(self, number: int, seen: Sequence[Observation]) -> Point:
        """Point of a configuration: random until enough others have a value, then from the sampler."""
        if sum(one.value is not None and one.state in {"finished", "stopped"} for one in seen) < NUM_RANDOM:
            return self._space.random_point(self._seed, number)
        records = [_record(one, self._metric) for one in seen]
        if self._study is None or not self._study.extend(seen, records):
            self._study = _Study(self._space, self._metric)
            self._study.extend(seen, records)
        drawn = self._study.sample(_derived(self._seed, number))
        parameters = self._space.parameters.items()
        return {name: drawn[name] if name in drawn else dist.value(0.0) for name, dist in parameters}


Record = tuple[str, float | None]
"""State of a configuration for the sampler: running, complete (with a value), or bad: worse than complete."""


def _record(one: Observation, metric: Metric) -> Record:
    value = one.value if one.value is not None and math.isfinite(one.value) else None
    if one.state == "running":
        if metric.impute_while_running == "false":
            return "running", None
    elif one.state == "failed" and metric.impute != "latest":
        value = value if metric.impute == "best" else None
    elif one.state == "failed":
        value = one.latest if one.latest is not None and math.isfinite(one.latest) else None
    return ("bad", None) if value is None else ("complete", value)


def _derived(seed: int, number: int) -> int:
    """Derive a seed of 32 bits, the size that the sampler takes."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")


class _Study:
    """Optuna study of the observations; it can only grow, so a withdrawn result needs a new study."""

    def __init__(self, space: Space, metric: Metric) -> None:
        import optuna

        self._names = list(space.searched)
        self._distributions = space.searched
        self._optuna = {name: _counterpart(dist) for name, dist in self._distributions.items()}
        self._records: list[Record] = []
        self._points: list[Point] = []
        # The first trial of the study stands for the requested configuration: the sampler writes to it and
        # does not count it as an observation.
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study: Study = optuna.create_study(direction=metric.goal)
        optuna.logging.set_verbosity(level)
        self._study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))
        self._asking: FrozenTrial = self._study.get_trials(deepcopy=False)[0]

    def extend(self, seen: Sequence[Observation], records: Sequence[Record]) -> bool:
        """Add new observations; False if an earlier observation has changed."""
        from optuna.trial import TrialState

        changed = []
        if len(records) < len(self._records):
            return False
        for k, (old, new) in enumerate(zip(self._records, records, strict=False)):
            if self._points[k] != seen[k].point or (old != new and old[0] != "running"):
                return False
            if old != new:
                changed.append(k)
        for k in changed:
            kind, value = records[k]
            state = TrialState.COMPLETE if kind == "complete" else TrialState.PRUNED
            self._study.tell(k + 1, value, state)
        for one, record in zip(seen[len(self._records) :], records[len(self._records) :], strict=True):
            self._add(one.point, record)
        self._records = list(records)
        self._points = [one.point for one in seen]
        return True

    def _add(self, point: Point, record: Record) -> None:
        from optuna.trial import TrialState, create_trial

        kind, value = record
        # The sampler ranks a pruned trial without a value below all complete trials.
        states = {
            "running": TrialState.RUNNING,
            "complete": TrialState.COMPLETE,
            "bad": TrialState.PRUNED,
        }
        params = {name: _inward(self._distributions[name], point[name]) for name in self._names}
        trial = create_trial(state=states[kind], value=value, params=params, distributions=self._optuna)
        self._study.add_trial(trial)

    def sample(self, seed: int) -> Point:
        """Draw a point of the searched parameters."""
        from optuna.samplers import TPESampler

        sampler = TPESampler(seed=seed, n_startup_trials=0, constant_liar=True)
        drawn = sampler.sample_relative(self._study, self._asking, self._optuna)
        return {name: _outward(self._distributions[name], drawn[name]) for name in self._names}


def _counterpart(distribution: Distribution) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, IntUniform):
        return IntDistribution(distribution.low, distribution.high)
    if isinstance(distribution, Categorical) and distribution.probabilities is None:
        return CategoricalDistribution(range(len(distribution.values)))
    return FloatDistribution(0.0, 1.0)


def _inward(distribution: Distribution, value: Any) -> float:
    if isinstance(distribution, IntUniform):
        return int(value)
    if isinstance(distribution, Categorical) and distribution.probabilities is None:
        return distribution.index(value)
    assert not isinstance(distribution, Constant)
    return distribution.position(value)


def _outward(distribution: Distribution, drawn: Any) -> Any:
    if isinstance(distribution, IntUniform):
        return int(drawn)
    if isinstance(distribution, Categorical) and distribution.probabilities is None:
        return distribution.values[drawn]
    return distribution.value(min(float(drawn), 1 - 2**-53))
