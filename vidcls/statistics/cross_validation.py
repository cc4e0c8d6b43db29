"""Mean over videos of a group k-fold cross-validation, with an interval.

Each video is scored once for each fold seed, by the model of a fold that did not see its group. Two things
make such a mean vary, and the interval covers both:

- Other groups of videos. The same groups are scored under each fold seed. Their part is the variance by the
  delete-a-group jackknife of the mean over all fold seeds.
- Another training of each fold. All videos of a fold share one training, so that leaving out groups, which
  takes videos for independent across groups, does not see its whole effect. Leaving out whole folds does:
  it sees groups and trainings together, with only K - 1 degrees of freedom for each of the F fold seeds. What
  it finds beyond the same jackknife over groups is the part of the trainings:

    V_training = max(0, mean over fold seeds of (V_fold - V_group of this fold seed)) / F
    V          = V_group + V_training

Degrees of freedom follow Satterthwaite (1946, Biometrics Bull. 2:110), with F (K - 1) * share for
V_training, where the share is that of the trainings in V_fold, as a difference of variances is less certain
than what it is made of (Gaylor and Hopper 1969, Technometrics 11:691). Their rule has the square of the
share, which covers too much where the folds show next to nothing beyond their groups. Groups count by
their effective number.

What no such interval covers: the models of different folds are trained on overlapping videos, and no
estimator that sees one data set is unbiased for that dependence (Bengio and Grandvalet 2004, J. Mach. Learn.
Res. 5:1089; Nadeau and Bengio 2003, Mach. Learn. 52:239). The estimated value is that of models trained on
(K - 1)/K of this many videos, not that of one model on all of them (Bates, Hastie and Tibshirani 2023, J. Am.
Stat. Assoc. 119:1434). `python -m benchmarks.folds --table` measures the coverage: 93 to 97 % where the
trainings of folds are independent, and a few points less of an accuracy, with few groups, where classifiers
are really trained.

Axes: F fold seeds, N videos.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vidcls.arrays import Floats, Ints
from vidcls.statistics.crossed_effects import ROUNDING
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.jackknife import effective_groups, jackknife_of_means


def cross_validated_mean(values: Floats, folds: Ints, groups: Sequence[str]) -> Estimate:
    """Mean of a value of each video, or of the paired difference of two specs.

    Args:
        values: Value of each video under each fold seed, `[F, N]`.
        folds: Number of the fold in which each video was scored, `[F, N]`; two or more for each fold seed.
        groups: Group of each of the N videos, two or more different ones.
    """
    over_groups = jackknife_of_means(values, groups).covariance
    group_part = max(0.0, float(over_groups.mean()))
    num_seeds = len(values)
    over_folds = [
        float(jackknife_of_means(row[None], [str(fold) for fold in folds_of_row]).covariance[0, 0])
        for row, folds_of_row in zip(values, folds.tolist(), strict=True)
    ]
    whole = float(np.mean(over_folds))
    excess = whole - float(np.trace(over_groups)) / num_seeds
    group_dof = max(1.0, effective_groups(_sizes(groups)) - 1)
    fold_dof = sum(len(set(row)) - 1 for row in folds.tolist())
    training_part = max(0.0, excess) / num_seeds
    variance = group_part + training_part
    if variance < ROUNDING:
        return Estimate(float(values.mean()), 0.0, group_dof)
    spread = group_part**2 / group_dof
    if training_part:
        spread += training_part**2 / (fold_dof * excess / whole)
    return Estimate(float(values.mean()), math.sqrt(variance), variance**2 / spread)


def _sizes(groups: Sequence[str]) -> Floats:
    return np.unique(np.array(groups), return_counts=True)[1].astype(np.float64)
