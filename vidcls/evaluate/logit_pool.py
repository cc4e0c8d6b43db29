"""The logits of several models, averaged with weights: pure functions of stored logits.

A weighted mean of logits is the weighted geometric mean of the models' probabilities, normalised: the
logarithmic opinion pool (Genest and Zidek 1986, Statistical Science 1:114). What one model excludes stays
excluded, so that models which know different things complete each other: of appearance and motion, each alone
says "one of these"; a mean of the probabilities themselves could never say more than the surest of them. The
scale of a model's logits counts too, and is a matter of its weight: a model that is sure of what is wrong
spoils a pool of equal weights, and tuned ones leave it out. The loss is convex in the weights (Heskes 1998,
Selecting weighting factors in logarithmic opinion pools): what a search finds is best.

Axes: M models, N videos, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidcls.arrays import Floats, Ints
from vidcls.data.sampling import generator

_ROUNDING = 1e-9
_NUM_FOLDS = 5
_NUM_RESAMPLES = 4000
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Interval:
    """A difference, and where it lies with 95 % confidence.

    Attributes:
        value: Observed value.
        low: Lower end.
        high: Upper end.
        p_value: Two-sided, of the hypothesis that there is no difference: the share of resamples on the other
            side of zero, twice.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


def pooled(logits: Floats, weights: Sequence[float] | Floats) -> Floats:
    """The weighted mean of logits, `[M, N, K]` to `[N, K]`."""
    return np.asarray(np.tensordot(np.asarray(weights, np.float64), logits, axes=1))


def tuned_weights(logits: Floats, labels: Ints) -> Floats:
    """The weights of the pool with the smallest cross entropy.

    Args:
        logits: `[M, N, K]`.
        labels: `[N]`.

    Returns:
        `[M]`, none negative, with the sum 1; their loss is not above that of the best single model. Equal
        models get equal weights.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax, softmax

    log_probs = log_softmax(logits, axis=2)
    own = np.take_along_axis(log_probs, labels[None, :, None], axis=2)[..., 0].mean(axis=1)

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = pooled(log_probs, weights)
        normaliser = np.logaddexp.reduce(mixed, axis=1).mean()
        expected = np.einsum("nk,mnk->m", softmax(mixed, axis=1), log_probs) / len(labels)
        return float(normaliser - weights @ own), expected - own

    num = len(logits)
    found = minimize(
        loss,
        np.full(num, 1 / num),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * num,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    weights = np.clip(found.x, 0, 1) / np.clip(found.x, 0, 1).sum()
    # Where one model alone is best, the search may end beside it.
    alone = np.eye(num)[int(own.argmax())]
    return np.asarray(alone if loss(alone)[0] < loss(weights)[0] - _ROUNDING else weights)


def cross_fitted(logits: Floats, labels: Ints, groups: Sequence[str]) -> Floats | None:
    """What the pool says of each video under weights tuned on videos of other groups.

    Args:
        logits: `[M, N, K]`.
        labels: `[N]`.
        groups: N of them.

    Returns:
        Logits `[N, K]`; None where there is one group only.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return None
    order = generator("fuse", len(names)).permutation(len(names))
    fold_of = {names[index]: number % _NUM_FOLDS for number, index in enumerate(order.tolist())}
    folds = np.array([fold_of[group] for group in groups])
    said = np.empty(logits.shape[1:])
    for fold in np.unique(folds):
        held = folds == fold
        weights = tuned_weights(logits[:, ~held], labels[~held])
        said[held] = pooled(logits[:, held], weights)
    return said


def mean_interval(differences: Floats, groups: Sequence[str]) -> Interval | None:
    """The mean over videos, and its 95 % interval by resampling whole groups (the percentile bootstrap).

    Args:
        differences: `[N]`, one a video.
        groups: N of them; what belongs together is drawn together.

    Returns:
        None where there is one group only.
    """
    names, member = np.unique(np.array(groups), return_inverse=True)
    if len(names) < 2:
        return None
    sums = np.bincount(member, weights=differences)
    sizes = np.bincount(member)
    rng, even = generator("bootstrap", len(names)), np.full(len(names), 1 / len(names))
    # One after another, as many groups would fill the memory.
    draws = (rng.multinomial(len(names), even) for _ in range(_NUM_RESAMPLES))
    means = np.array([(counts @ sums) / (counts @ sizes) for counts in draws])
    low, high = np.quantile(means, _INTERVAL)
    # One is added: no resampling of so many times can show a smaller probability (Davison and Hinkley 1997).
    beyond = 1 + min(int((means <= 0).sum()), int((means >= 0).sum()))
    p_value = min(1.0, 2 * beyond / (len(means) + 1))
    return Interval(float(differences.mean()), float(low), float(high), p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Probabilities that hold for all comparisons together (Holm 1979, Scand. J. Statist. 6:65)."""
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted
