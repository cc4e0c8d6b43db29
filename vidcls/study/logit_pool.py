"""Weighted mean of the logits of several models: pure functions of stored logits.

A weighted mean of logits is the normalised weighted geometric mean of the models' probabilities: the
logarithmic opinion pool (Genest and Zidek 1986, Statistical Science 1:114). A class that one model excludes
stays excluded, so models with different knowledge complement each other: appearance and motion each leave
several classes, both together one. A mean of the probabilities could never be more certain than its most
certain model. The scale of a model's logits matters too, and is part of its weight: a model that is certain
but wrong spoils a pool of equal weights, and tuned weights leave it out. The loss is convex in the weights
(Heskes 1998, Selecting weighting factors in logarithmic opinion pools), so a local search finds the best.

Axes: M models, N videos, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidcls.arrays import Floats, Ints
from vidcls.data.sampling import generator

_ROUNDING = 1e-9
_NUM_FOLDS = 5


def pooled(logits: Floats, weights: Sequence[float] | Floats) -> Floats:
    """Weighted mean of logits, `[M, N, K]` to `[N, K]`."""
    return np.asarray(np.tensordot(np.asarray(weights, np.float64), logits, axes=1))


def tuned_weights(logits: Floats, labels: Ints) -> Floats:
    """Weights of the pool with the smallest cross entropy.

    Args:
        logits: `[M, N, K]`.
        labels: `[N]`.

    Returns:
        Weights `[M]`, not negative, with sum 1; their loss is at most that of the best single model. Equal
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
    inside = np.clip(found.x, 0, 1)
    weights = inside / inside.sum()
    # If a single model is best, the search may end close to it instead of exactly there.
    alone = np.eye(num)[int(own.argmax())]
    return np.asarray(alone if loss(alone)[0] < loss(weights)[0] - _ROUNDING else weights)


def cross_fitted(logits: Floats, labels: Ints, groups: Sequence[str]) -> Floats | None:
    """Pooled logits of each video, with weights tuned on videos of other groups.

    Args:
        logits: `[M, N, K]`.
        labels: `[N]`.
        groups: Groups of the N videos.

    Returns:
        Logits `[N, K]`; None if there is only one group.
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
