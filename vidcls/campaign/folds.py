"""Trainings of a group k-fold cross-validation: a table and a spec for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidcls.data.manifest import Manifest, Video, load_manifest
from vidcls.errors import UserError
from vidcls.leaks.split import group_folds
from vidcls.spec.experiment import Spec
from vidcls.spec.load import LoadedSpec, load_spec


@dataclass(frozen=True)
class Fold:
    """One training of a cross-validation.

    Attributes:
        number: Number of its spec.
        fold_seed: Seed of the folds.
        fold: Number of the fold that is val, from 0.
        file: Spec file.
        overrides: `key=value` texts that select this fold.
    """

    number: int
    fold_seed: int
    fold: int
    file: Path
    overrides: tuple[str, ...]

    @property
    def loaded(self) -> LoadedSpec:
        """Load the spec of the training."""
        return load_spec(self.file, self.overrides)


@dataclass(frozen=True)
class FoldDesign:
    """Trainings of a cross-validation.

    Attributes:
        specs: Specs that are compared.
        manifest: Manifest of the train and val videos.
        num_folds: Number of folds of each fold seed.
        fold_seeds: Seeds; each has its own folds.
        folds: Trainings, in order.
    """

    specs: tuple[Spec, ...]
    manifest: Manifest
    num_folds: int
    fold_seeds: tuple[int, ...]
    folds: tuple[Fold, ...]


def design(
    files: Sequence[Path], overrides: Sequence[str], *, num_folds: int, fold_seeds: Sequence[int]
) -> FoldDesign:
    """Draw the folds and write their tables.

    Args:
        files: Spec files on one data set.
        overrides: `key=value` texts for all specs.
        num_folds: Number of folds, two or more.
        fold_seeds: Seeds; each draws its own folds.

    Raises:
        UserError: If the specs read different videos, or groups are unknown.
    """
    specs = tuple(load_spec(file, overrides).spec for file in files)
    for spec in specs:
        refuse_own_splits(spec)
    manifest = _pool(specs)
    groups, labels = groups_of(manifest), [video.label for video in manifest.videos]
    key = _key(manifest)
    trainings: list[Fold] = []
    for fold_seed in fold_seeds:
        folds = group_folds(labels, groups, num_folds=num_folds, seed=fold_seed)
        for fold in range(num_folds):
            for number, (file, spec) in enumerate(zip(files, specs, strict=True)):
                name = f"{key}-{num_folds}-f{fold_seed}-{fold}"
                table = _write_fold(spec, manifest, folds, fold=fold, name=name)
                # A seed for each fold: with one for all, the interval could not cover what the seed does.
                seed = f"seed={(spec.seed + fold_seed * num_folds + fold) % 2**32}"
                own = (*table_settings(spec, table), f"name={spec.name}-cv", seed)
                trainings.append(Fold(number, fold_seed, fold, file, (*overrides, *own)))
    return FoldDesign(specs, manifest, num_folds, tuple(fold_seeds), tuple(trainings))


def table_settings(spec: Spec, table: Path) -> tuple[str, ...]:
    """`key=value` texts of a training on a written table of its videos; its last epoch is kept.

    Args:
        spec: Spec whose videos are in the table.
        table: CSV manifest with the splits of the training.
    """
    return (
        f"data.root={table}",
        f"data.source={spec.data.table_source}",
        "data.layout=auto",
        "data.split_number=null",
        "data.val_fraction=null",
        "train.keep_last=true",
    )


def refuse_own_splits(spec: Spec) -> None:
    """Refuse to make other splits of a data set of the user, and for a training that validates nothing.

    Raises:
        UserError: If the spec has one, or is of a final training.
    """
    if spec.data.join_val:
        raise UserError(
            "data.join_val: such a training is not validated, so it cannot be compared",
            hint="leave data.join_val and train.stop_after out",
        )
    if spec.data.target is not None:
        raise UserError(
            f"data.target: {spec.data.target} makes its own splits, so vidcls cannot make others of it",
            hint="give it an argument that chooses the fold, and train with data.args.fold=0, 1, ...",
        )


def groups_of(manifest: Manifest) -> list[str]:
    """Group of each video."""
    return [str(video.group) for video in manifest.videos]


def _pool(specs: Sequence[Spec]) -> Manifest:
    """Train and val videos that all specs share; the sealed test split is not used."""
    manifests = [load_manifest(spec.data, cache_dir=Path(spec.store_dir)) for spec in specs]
    pools = [manifest.training for manifest in manifests]
    contents = [{(video.id, video.label, video.digest) for video in pool} for pool in pools]
    for spec, content in zip(specs, contents, strict=True):
        if content != contents[0]:
            raise UserError(
                f"{spec.name} reads other videos than {specs[0].name}: {spec.data.root}",
                hint="add data.root=FOLDER after the specs to give the same data to all of them",
            )
    refuse_unknown_groups(manifests[0].root, pools[0])
    videos = (replace(video, path=absolute_path(video)) for video in pools[0])
    return replace(manifests[0], videos=tuple(sorted(videos, key=lambda video: video.id)))


def refuse_unknown_groups(root: Path, videos: Sequence[Video]) -> None:
    """Refuse to split videos by groups if groups are unknown.

    Raises:
        UserError: If a video has no group.
    """
    unknown = sum(video.group is None for video in videos)
    if unknown:
        raise UserError(
            f"{root}: {unknown} of {len(videos)} videos have no known group",
            hint=f"vidcls data split {root} --by content --out FILE.csv finds groups; then set "
            "data.root=FILE.csv",
        )


def absolute_path(video: Video) -> Path:
    """Path of a video with the links of its folders resolved; a video that is a link keeps its own name."""
    return video.path.parent.resolve() / video.path.name


def _key(manifest: Manifest) -> str:
    """Key of the videos, so that folds of other data have other tables."""
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
