"""Group k-fold cross-validation: each video is scored by a model that was not trained on its group.

The last epoch is scored, not the best: choosing an epoch on the reported fold would make every result too
good. Intervals cover other groups of videos and other trainings of the folds, see
`vidcls/statistics/cross_validation.py`. All specs use the same videos, folds and seeds, so that differences
are paired and most of the variation in difficulty cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcls.arrays import Floats, Ints
from vidcls.campaign.folds import FoldDesign, groups_of
from vidcls.campaign.last_epoch import right_answers
from vidcls.data.manifest import Manifest
from vidcls.errors import VidclsError
from vidcls.statistics.corrections import holm
from vidcls.statistics.cross_validation import cross_validated_mean
from vidcls.statistics.estimate import Estimate
from vidcls.study.intervals import few_groups
from vidcls.training.run_training import Options, train
from vidcls.training.session import Display

Correct = NDArray[np.bool_]
_FEW_TRAININGS = 3
"""Number of trainings of a spec below which their spread is hardly known."""


@dataclass(frozen=True)
class Scored:
    """Cross-validation result of one spec.

    Attributes:
        name: Spec name.
        file: File of the spec.
        correct: Whether each video was classified correctly, `[fold seeds, videos]`.
    """

    name: str
    file: Path
    correct: Correct

    @property
    def top1(self) -> float:
        """Share of correct predictions over all videos and fold seeds."""
        return float(self.correct.mean())

    @property
    def top1_each(self) -> list[float]:
        """Share of correct predictions for each fold seed."""
        return [float(row.mean()) for row in self.correct]


@dataclass(frozen=True)
class ComparedSpecs:
    """Comparison of two specs on the same videos.

    Attributes:
        first: Number of the first spec.
        second: Number of the second spec.
        difference: Top-1 of the second minus that of the first.
        p_value: p-value of no difference, with Holm's correction over all pairs.
    """

    first: int
    second: int
    difference: Estimate
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the difference is significant, corrected for all pairs."""
        return self.p_value < 0.05


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Result of a cross-validation.

    Attributes:
        specs: Results of the specs, in the requested order.
        groups: Group of each video.
        folds: Fold in which each video was scored, `[fold seeds, videos]`.
        num_folds: Number of folds of each fold seed.
        fold_seeds: Seeds; each has its own folds.
    """

    specs: tuple[Scored, ...]
    groups: tuple[str, ...]
    folds: Ints
    num_folds: int
    fold_seeds: tuple[int, ...]

    @property
    def num_groups(self) -> int:
        """Number of groups."""
        return len(set(self.groups))

    def top1(self, number: int) -> Estimate:
        """Top-1 of a spec."""
        return self._estimate(self.specs[number].correct.astype(np.float64))

    def pairs(self) -> list[ComparedSpecs]:
        """Comparisons of all pairs of specs."""
        both = list(combinations(range(len(self.specs)), 2))
        gained = [self.specs[b].correct.astype(np.float64) - self.specs[a].correct for a, b in both]
        found = [self._estimate(each) for each in gained]
        adjusted = holm([each.p_value for each in found])
        return [ComparedSpecs(a, b, each, p) for (a, b), each, p in zip(both, found, adjusted, strict=True)]

    def warnings(self) -> list[str]:
        """What makes the intervals less certain than they look."""
        found = few_groups(self.num_groups)
        warnings = [] if found is None else [found]
        if self.num_folds * len(self.fold_seeds) < _FEW_TRAININGS:
            warnings.append(
                f"only {self.num_folds} trainings of each spec: the interval may be too short;"
                " --folds 5 or --fold-seeds 0,1,2 gives more"
            )
        return warnings

    def _estimate(self, values: Floats) -> Estimate:
        return cross_validated_mean(values, self.folds, self.groups)


def cross_validate(
    planned: FoldDesign,
    *,
    options: Options,
    display: Callable[[], AbstractContextManager[Display]],
    say: Callable[[str], None],
) -> CrossValidation:
    """Train every spec on every fold; finished trainings are not repeated.

    Args:
        planned: Design with the trainings.
        options: Options of every training.
        display: Makes a new display for each training.
        say: Receives a message at the start of each training.

    Raises:
        VidclsError: As for training.
    """
    rows: list[dict[int, dict[Path, bool]]] = [
        {fold_seed: {} for fold_seed in planned.fold_seeds} for _ in planned.specs
    ]
    fold_of: dict[int, dict[Path, int]] = {fold_seed: {} for fold_seed in planned.fold_seeds}
    for count, fold in enumerate(planned.folds):
        name = planned.specs[fold.number].name
        say(f"{name}: fold {fold.fold + 1} of {planned.num_folds}, fold seed {fold.fold_seed}")
        loaded = fold.loaded
        with display() as shown:
            # All folds have the same videos, so problems with them are reported only once.
            run = train(loaded, options=replace(options, tells_problems=count == 0), display=shown).run
        right = right_answers(run, loaded.spec)
        run.remove_checkpoints(why="cross-validation keeps the predictions of a fold, not its weights")
        rows[fold.number][fold.fold_seed] |= right
        fold_of[fold.fold_seed] |= dict.fromkeys(right, fold.fold)
    kept = _read_by_all(planned.manifest, [list(each.values()) for each in rows], say=say)
    folds = np.array([[found[path] for path in kept] for found in fold_of.values()], np.int64)
    if any(len(set(row)) < 2 for row in folds.tolist()):
        raise _too_few(planned.manifest, len(kept))
    group_of = {
        video.path: group
        for video, group in zip(planned.manifest.videos, groups_of(planned.manifest), strict=True)
    }
    files = {fold.number: fold.file for fold in planned.folds}
    scored = (
        Scored(
            spec.name, files[number], np.array([[found[path] for path in kept] for found in each.values()])
        )
        for number, (spec, each) in enumerate(zip(planned.specs, rows, strict=True))
    )
    groups = tuple(group_of[path] for path in kept)
    return CrossValidation(tuple(scored), groups, folds, planned.num_folds, planned.fold_seeds)


def _read_by_all(
    manifest: Manifest, rows: Sequence[Sequence[Mapping[Path, bool]]], *, say: Callable[[str], None]
) -> list[Path]:
    """Videos that every training could read; others are left out for all, as differences are paired."""
    kept = [video for video in manifest.videos if all(video.path in found for each in rows for found in each)]
    num_bad = len(manifest.videos) - len(kept)
    if len({video.group for video in kept}) < 2:
        raise _too_few(manifest, len(kept))
    if num_bad:
        say(f"{num_bad} videos are left out, because they were not readable in all trainings")
    return [video.path for video in kept]


def _too_few(manifest: Manifest, num_kept: int) -> VidclsError:
    return VidclsError(
        f"{manifest.root}: too few videos were readable in all trainings: {num_kept} of"
        f" {len(manifest.videos)}",
        hint=f"vidcls data check {manifest.root} shows what is wrong with the other videos",
    )
