"""Group k-fold cross-validation: each video is scored by a model that was not trained on its group.

The last epoch is scored, not the best: choosing an epoch on the reported fold would make every result too
good. The interval of a difference resamples whole groups of videos, because results within a group are
correlated. Both specs use the same videos and folds, so most of the variation in difficulty cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcls.campaign.folds import FoldDesign, absolute_path, groups_of
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.errors import VidclsError
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.study.logit_pool import Interval, holm, mean_interval
from vidcls.training.run_training import Options, train
from vidcls.training.session import Display

Correct = NDArray[np.bool_]


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
        difference: Top-1 of the second minus that of the first, with an interval over groups.
        p_value: p-value of no difference, with Holm's correction over all pairs.
    """

    first: int
    second: int
    difference: Interval
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the difference is significant, corrected for all pairs."""
        return self.p_value < 0.05


@dataclass(frozen=True)
class CrossValidation:
    """Result of a cross-validation.

    Attributes:
        specs: Results of the specs, in the requested order.
        groups: Group of each video.
        num_folds: Number of folds of each fold seed.
        fold_seeds: Seeds; each has its own folds.
    """

    specs: tuple[Scored, ...]
    groups: tuple[str, ...]
    num_folds: int
    fold_seeds: tuple[int, ...]

    def top1(self, number: int) -> Interval:
        """Top-1 of a spec, with its 95 % interval over groups."""
        return self._over_groups(self.specs[number].correct.astype(float))

    def pairs(self) -> list[ComparedSpecs]:
        """Comparisons of all pairs of specs."""
        both = list(combinations(range(len(self.specs)), 2))
        gained = [self.specs[b].correct.astype(float) - self.specs[a].correct for a, b in both]
        found = [self._over_groups(each) for each in gained]
        adjusted = holm([each.p_value for each in found])
        return [ComparedSpecs(a, b, each, p) for (a, b), each, p in zip(both, found, adjusted, strict=True)]

    def _over_groups(self, values: NDArray[np.float64]) -> Interval:
        found = mean_interval(values.mean(axis=0), self.groups)
        assert found is not None, "folds need two groups or more"
        return found


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
    for count, fold in enumerate(planned.folds):
        name = planned.specs[fold.number].name
        say(f"{name}: fold {fold.fold + 1} of {planned.num_folds}, fold seed {fold.fold_seed}")
        loaded = fold.loaded
        with display() as shown:
            # All folds have the same videos, so problems with them are reported only once.
            run = train(loaded, options=replace(options, tells_problems=count == 0), display=shown).run
        rows[fold.number][fold.fold_seed] |= _right(run, _reread(loaded.spec))
    kept = _read_by_all(planned.manifest, [list(each.values()) for each in rows], say=say)
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
    return CrossValidation(tuple(scored), groups, planned.num_folds, planned.fold_seeds)


def _read_by_all(
    manifest: Manifest, rows: Sequence[Sequence[Mapping[Path, bool]]], *, say: Callable[[str], None]
) -> list[Path]:
    """Videos that every training could read; others are left out for all, as differences are paired."""
    kept = [video for video in manifest.videos if all(video.path in found for each in rows for found in each)]
    num_bad = len(manifest.videos) - len(kept)
    if len({video.group for video in kept}) < 2:
        raise VidclsError(
            f"{manifest.root}: too few videos were readable in all trainings: {len(kept)} of"
            f" {len(manifest.videos)}",
            hint=f"vidcls data check {manifest.root} shows what is wrong with the other videos",
        )
    if num_bad:
        say(f"{num_bad} videos are left out, because they were not readable in all trainings")
    return [video.path for video in kept]


def _reread(spec: Spec) -> Mapping[str, Path]:
    """File of each video of a fold, by its id in the table of the fold."""
    manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
    return {video.id: absolute_path(video) for video in manifest.videos}


def _right(run: Run, files: Mapping[str, Path]) -> Mapping[Path, bool]:
    """Whether the last epoch classifies each val video correctly, by file.

    The weights are removed afterwards, since they are not needed any more.
    """
    predictions = load_predictions(run.predictions_file("val", "last"))
    run.remove_checkpoints(why="cross-validation keeps the predictions of a fold, not its weights")
    right = predictions.logits.argmax(axis=1) == predictions.labels
    return {files[id_]: bool(hit) for id_, hit in zip(predictions.ids, right, strict=True)}
