"""Group k-fold cross-validation: each video is scored by a model that saw nothing of its group.

The last epoch is scored, not the best: to choose an epoch on the fold that is then reported would flatter
every number. The interval of a difference resamples whole groups of videos, as videos of one group stand or
fall together; the same videos and folds for both specs, so most of their difficulty cancels.
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
from vidcls.evaluate.logit_pool import Interval, holm, mean_interval
from vidcls.evaluate.predictions import load_predictions
from vidcls.runs import Run
from vidcls.spec.experiment import Spec
from vidcls.train.run_training import Options, train
from vidcls.train.session import Display

Correct = NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """One spec, cross-validated.

    Attributes:
        name: Spec name.
        file: Where it was read from.
        correct: Whether each video was classified rightly, `[fold seeds, videos]`.
    """

    name: str
    file: Path
    correct: Correct

    @property
    def top1(self) -> float:
        """Share of right ones over all videos and fold seeds."""
        return float(self.correct.mean())

    @property
    def top1_each(self) -> list[float]:
        """The same for each fold seed."""
        return [float(row.mean()) for row in self.correct]


@dataclass(frozen=True)
class ComparedSpecs:
    """Two specs on the same videos.

    Attributes:
        first: Number of the one.
        second: Number of the other.
        difference: Top-1 of the second less that of the first, over groups.
        p_value: p-value of no difference, with Holm's correction over all pairs.
    """

    first: int
    second: int
    difference: Interval
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether a difference is shown, all pairs considered."""
        return self.p_value < 0.05


@dataclass(frozen=True)
class CrossValidation:
    """What came out.

    Attributes:
        specs: Results of the specs, in the order that was asked for.
        groups: Group of each video.
        num_folds: Number of folds of each fold seed.
        fold_seeds: Seeds, each of which drew folds of its own.
    """

    specs: tuple[Scored, ...]
    groups: tuple[str, ...]
    num_folds: int
    fold_seeds: tuple[int, ...]

    def top1(self, number: int) -> Interval:
        """Top-1 of a spec, with its 95 % interval over groups."""
        return self._over_groups(self.specs[number].correct.astype(float))

    def pairs(self) -> list[ComparedSpecs]:
        """All pairs of specs."""
        both = list(combinations(range(len(self.specs)), 2))
        gained = [self.specs[b].correct.astype(float) - self.specs[a].correct for a, b in both]
        found = [self._over_groups(each) for each in gained]
        adjusted = holm([each.p_value for each in found])
        return [ComparedSpecs(a, b, each, p) for (a, b), each, p in zip(both, found, adjusted, strict=True)]

    def _over_groups(self, values: NDArray[np.float64]) -> Interval:
        found = mean_interval(values.mean(axis=0), self.groups)
        assert found is not None, "folds take two groups or more"
        return found


def cross_validate(
    planned: FoldDesign,
    *,
    options: Options,
    display: Callable[[], AbstractContextManager[Display]],
    say: Callable[[str], None],
) -> CrossValidation:
    """Train every spec on every fold; what is trained already is not trained again.

    Args:
        planned: The trainings.
        options: How every training is started.
        display: A fresh display for each training.
        say: Told what begins.

    Raises:
        VidclsError: As training does.
    """
    rows: list[dict[int, dict[Path, bool]]] = [
        {fold_seed: {} for fold_seed in planned.fold_seeds} for _ in planned.specs
    ]
    for count, fold in enumerate(planned.folds):
        name = planned.specs[fold.number].name
        say(f"{name}: fold {fold.fold + 1} of {planned.num_folds}, fold seed {fold.fold_seed}")
        loaded = fold.loaded
        with display() as shown:
            # All folds are of the same videos: what is odd about them is told once.
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
    """The videos that every training could read: others are left out for all, as differences are paired."""
    kept = [video for video in manifest.videos if all(video.path in found for each in rows for found in each)]
    num_bad = len(manifest.videos) - len(kept)
    if len({video.group for video in kept}) < 2:
        raise VidclsError(
            f"{manifest.root}: too few videos could be read in every training: {len(kept)} of"
            f" {len(manifest.videos)}",
            hint=f"vidcls data check {manifest.root} says what is wrong with the others",
        )
    if num_bad:
        say(f"{num_bad} videos could not be read in every training, and are left out")
    return [video.path for video in kept]


def _reread(spec: Spec) -> Mapping[str, Path]:
    """The file of each video of a fold, by the id that the table gives it there."""
    manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
    return {video.id: absolute_path(video) for video in manifest.videos}


def _right(run: Run, files: Mapping[str, Path]) -> Mapping[Path, bool]:
    """Whether the last epoch is right about each val video, by file.

    The weights are let go of, nobody needs them.
    """
    predictions = load_predictions(run.predictions_file("val", "last"))
    run.remove_checkpoints(why="cross-validation keeps what a fold says of its videos, not its weights")
    right = predictions.logits.argmax(axis=1) == predictions.labels
    return {files[id_]: bool(hit) for id_, hit in zip(predictions.ids, right, strict=True)}
