"""Group k-fold cross-validation: each video is scored by a model that saw nothing of its group.

The last epoch is scored, not the best: to choose an epoch on the fold that is then reported would flatter
every number. The interval of a difference resamples whole groups of videos, as videos of one group stand or
fall together; the same videos and folds for both specs, so most of their difficulty cancels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcls.data.leaks.split import group_folds
from vidcls.data.manifest import Manifest, Video, load_manifest
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.pool import Interval, mean_interval
from vidcls.evaluate.predictions import load_predictions
from vidcls.runs import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.load import load_spec
from vidcls.train.session import Display
from vidcls.train.start import Options, train

_PLAIN_DATA = (
    "data.layout=auto",
    "data.split_number=null",
    "data.val_fraction=null",
    "train.keep_last=true",
)
Correct = NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """One spec, cross-validated.

    Attributes:
        name: Of the spec.
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
class CrossValidation:
    """What came out.

    Attributes:
        specs: In the order that was asked for; the first is what the others are compared with.
        groups: Group of each video.
        num_folds: Of each fold seed.
    """

    specs: tuple[Scored, ...]
    groups: tuple[str, ...]
    num_folds: int

    def difference(self, number: int) -> Interval:
        """Top-1 of a spec minus that of the first, with its 95 % interval over groups."""
        gained = self.specs[number].correct.astype(float) - self.specs[0].correct
        found = mean_interval(gained.mean(axis=0), self.groups)
        assert found is not None, "folds take two groups or more"
        return found


def cross_validate(
    files: Sequence[Path],
    overrides: Sequence[str],
    *,
    num_folds: int,
    fold_seeds: Sequence[int],
    options: Options,
    display: Callable[[], AbstractContextManager[Display]],
    say: Callable[[str], None],
) -> CrossValidation:
    """Train every spec on every fold; what is trained already is not trained again.

    Args:
        files: Spec files, of one data set.
        overrides: `key=value` texts, for all of them.
        num_folds: Two or more.
        fold_seeds: Each draws folds of its own.
        options: Of every training.
        display: A fresh display for each training.
        say: Told what begins.

    Raises:
        UserError: If the specs read other videos, or groups are unknown.
        VidclsError: As training does.
    """
    specs = [load_spec(file, overrides).spec for file in files]
    manifest = _pool(specs)
    groups = [str(video.group) for video in manifest.videos]
    key = _key(manifest)
    rows: list[list[dict[Path, bool]]] = [[] for _ in files]
    for fold_seed in fold_seeds:
        labels = [video.label for video in manifest.videos]
        folds = group_folds(labels, groups, num_folds=num_folds, seed=fold_seed)
        right: list[dict[Path, bool]] = [{} for _ in files]
        for fold in range(num_folds):
            for number, (file, spec) in enumerate(zip(files, specs, strict=True)):
                say(f"{spec.name}: fold {fold + 1} of {num_folds}, fold seed {fold_seed}")
                name = f"{key}-{num_folds}-f{fold_seed}-{fold}"
                table = _write_fold(spec, manifest, folds, fold=fold, name=name)
                source = f"data.source={spec.data.table_source}"
                own = [f"data.root={table}", source, f"name={spec.name}-cv", *_PLAIN_DATA]
                loaded = load_spec(file, (*overrides, *own))
                with display() as shown:
                    run = train(loaded, options=options, display=shown).run
                right[number] |= _right(run, _reread(loaded.spec))
        for number, found in enumerate(right):
            rows[number].append(found)
    kept = _read_by_all(manifest, rows, say=say)
    group_of = {video.path: group for video, group in zip(manifest.videos, groups, strict=True)}
    scored = (
        Scored(spec.name, file, np.array([[found[path] for path in kept] for found in each]))
        for spec, file, each in zip(specs, files, rows, strict=True)
    )
    return CrossValidation(tuple(scored), tuple(group_of[path] for path in kept), num_folds)


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


def _pool(specs: Sequence[Spec]) -> Manifest:
    """The train and val videos that all specs share; the sealed test plays no part."""
    manifests = [load_manifest(spec.data, cache_dir=Path(spec.store_dir)) for spec in specs]
    pools = [manifest.training for manifest in manifests]
    contents = [{(video.id, video.label, video.digest) for video in pool} for pool in pools]
    for spec, content in zip(specs, contents, strict=True):
        if content != contents[0]:
            raise UserError(
                f"{spec.name} reads other videos than {specs[0].name}: {spec.data.root}",
                hint="data.root=FOLDER, after the specs, gives all of them the same",
            )
    unknown = sum(video.group is None for video in pools[0])
    if unknown:
        raise UserError(
            f"{manifests[0].root}: {unknown} of {len(pools[0])} videos have no known group",
            hint=f"vidcls data split {manifests[0].root} --by content --out FILE.csv finds groups; "
            "then data.root=FILE.csv",
        )
    videos = (replace(video, path=_place(video)) for video in pools[0])
    return replace(manifests[0], videos=tuple(sorted(videos, key=lambda video: video.id)))


def _place(video: Video) -> Path:
    """Where a video lies, whatever links led there; a video that is itself a link keeps its own name."""
    return video.path.parent.resolve() / video.path.name


def _key(manifest: Manifest) -> str:
    """Names the videos: folds of other data have other tables."""
    content = [manifest.hash, [str(video.path) for video in manifest.videos]]
    return hashlib.blake2b(json.dumps(content).encode(errors="surrogateescape"), digest_size=4).hexdigest()


def _write_fold(spec: Spec, manifest: Manifest, folds: Sequence[int], *, fold: int, name: str) -> Path:
    videos = tuple(
        replace(video, split="val" if number == fold else "train")
        for video, number in zip(manifest.videos, folds, strict=True)
    )
    file = Path(spec.runs_dir) / f"{spec.name}-cv" / f"{name}.csv"
    replace(manifest, videos=videos, val_is_cut=False).write_csv(file)
    return file


def _reread(spec: Spec) -> Mapping[str, Path]:
    """The file of each video of a fold, by the id that the table gives it there."""
    manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
    return {video.id: _place(video) for video in manifest.videos}


def _right(run: Run, files: Mapping[str, Path]) -> Mapping[Path, bool]:
    """Whether the last epoch is right about each val video, by file.

    The weights are let go of, nobody needs them.
    """
    predictions = load_predictions(run.predictions_file("val", "last"))
    run.remove_checkpoints(why="cross-validation keeps what a fold says of its videos, not its weights")
    right = predictions.logits.argmax(axis=1) == predictions.labels
    return {files[id_]: bool(hit) for id_, hit in zip(predictions.ids, right, strict=True)}
