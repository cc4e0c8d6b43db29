"""Loads the stored logits of several runs for the same videos in the same order, and the data of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from vidcls.choices import Split
from vidcls.data.manifest import Manifest, Video, load_manifest
from vidcls.data.user_dataset.manifest import with_test
from vidcls.drawing import Say
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.ledger import ledger_of
from vidcls.evaluate.predictions import Predictions, load_predictions
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import targets_in
from vidcls.user_code.trust import kept_code

Unit = Literal["groups", "videos"]
_SAME_DATA = "name runs with the same videos and splits; vidcls runs show RUN shows them"


def load_together(runs: Sequence[Run], split: Split, *, checkpoint: Checkpoint) -> list[Predictions]:
    """Load the predictions of each run for a split, with the videos in the order of the first run.

    Videos are matched by id, split and label, not by the content that was read: one run may have used the
    frames and another one the flow of the same videos.

    Args:
        runs: One or more runs.
        split: Split that was scored.
        checkpoint: Checkpoint of the logits.

    Raises:
        UserError: If logits are not stored (with the command to create them), or videos or classes differ.
        VidclsError: If a file is damaged, or holds logits that are not finite.
    """
    for run in runs:
        if not run.predictions_file(split, checkpoint).is_file():
            raise UserError(
                f"{run.folder}: no {split} logits of its checkpoint {checkpoint!r} are stored",
                hint=f"vidcls evaluate {run.folder} --split {split} --checkpoint {checkpoint}",
            )
    found = [load_predictions(run.predictions_file(split, checkpoint)) for run in runs]
    for each, run in zip(found, runs, strict=True):
        _refuse_other_videos(each, found[0], names=(str(run.folder), str(runs[0].folder)))
    return [_ordered(each, found[0].ids) for each in found]


def _refuse_other_videos(each: Predictions, first: Predictions, *, names: tuple[str, str]) -> None:
    name, other = names
    if not each.ids:
        raise UserError(f"{name}: none of its {each.split} videos could be scored")
    if each.classes != first.classes:
        raise UserError(f"{name}: was not trained on the classes of {other}", hint=_SAME_DATA)
    differing = sorted(_listed(each) ^ _listed(first))
    if differing and each.manifest_hash != first.manifest_hash:
        raise UserError(
            f"{name}: was not trained on the data of {other}: the videos in {each.split} differ,"
            f" {differing[0]} among them",
            hint=_SAME_DATA,
        )
    if differing := sorted(set(each.ids) ^ set(first.ids)):
        raise UserError(
            f"{name} and {other} did not score the same {each.split} videos: {len(differing)} differ,"
            f" {differing[0]} among them",
            hint=f"vidcls evaluate {name} {other} --split {each.split} scores both again and shows why",
        )
    labels = dict(zip(first.ids, first.labels.tolist(), strict=True))
    if differing := sorted(
        key for key, label in zip(each.ids, each.labels, strict=True) if labels[key] != label
    ):
        raise UserError(
            f"{name}: was not trained on the data of {other}: {differing[0]} is of another class there",
            hint=_SAME_DATA,
        )
    if not np.isfinite(each.logits).all():
        raise VidclsError(
            f"{name}: its {each.split} logits are not finite, because its training diverged",
            hint="leave out this run",
        )


def _listed(predictions: Predictions) -> set[str]:
    """Ids of the videos of a split, scored or not."""
    return {*predictions.ids, *predictions.unscored}


def _ordered(predictions: Predictions, ids: tuple[str, ...]) -> Predictions:
    row_of = {name: row for row, name in enumerate(predictions.ids)}
    rows = [row_of[name] for name in ids]
    return replace(predictions, ids=ids, labels=predictions.labels[rows], logits=predictions.logits[rows])


def data_of(run: Run, split: Split | None = None) -> tuple[Spec, Manifest]:
    """Spec of a run with absolute paths of its data, and the manifest of that data.

    Args:
        run: Run.
        split: Split that is read. For test, the manifest has the test items of a user's data set, if the
            ledger says that they were scored before.

    Raises:
        UserError: If the data is not the data of the training, or needs code that is not trusted.
        VidclsError: If the run's provenance is damaged.
    """
    spec, provenance = run.spec(), run.provenance()
    # The run stores the absolute path of its data, so this works from any folder.
    data = spec.data.with_root(provenance["data_root"])
    store_dir = Path(provenance["store_dir"])
    spec = spec.model_copy(update={"data": data, "store_dir": str(store_dir)})
    if data.target is None and not Path(data.root).exists():
        is_demo = Path(data.root).name == "motion10"
        again = (
            f"vidcls data demo {data.root}   makes the demo data again" if is_demo else "put it back there"
        )
        raise UserError(f"{run.folder}: its data {data.root} does not exist", hint=again)
    with kept_code(run.code_dir, targets_in(spec.data)):
        manifest = load_manifest(data, cache_dir=store_dir)
        if manifest.hash != provenance["manifest"]["hash"]:
            raise UserError(
                f"{run.folder}: {manifest.root} is no longer the data that this run was trained on",
                hint=f"vidcls data scan {manifest.root} shows the data; restore it, or train a new run",
            )
        if split == "test" and ledger_of(run).count:
            manifest = with_test(manifest, data, cache_dir=store_dir)
    return spec, manifest


def videos_of(run: Run, split: Split, *, say: Say) -> dict[str, Video]:
    """Videos of a run's data by id; empty if the data is missing or has changed.

    Args:
        run: Run.
        split: Split whose stored predictions are read, see `data_of`.
        say: Receives the reason why no video is known, and so no group.

    Raises:
        VidclsError: If the run's provenance is damaged.
    """
    run.provenance()
    try:
        _, manifest = data_of(run, split)
    except VidclsError as error:
        say(f"{run.folder}: groups of its {split} videos are not known: {error.message}")
        return {}
    return {video.id: video for video in manifest.videos}


def groups_of(videos: Mapping[str, Video], ids: Sequence[str]) -> tuple[list[str], Unit]:
    """Groups of videos.

    Args:
        videos: Videos of the data by id, see `videos_of`.
        ids: Video ids.

    Returns:
        Group of each video, and the unit: each video is its own group if no group is known.
    """
    group_of = {name: video.group for name, video in videos.items() if video.group is not None}
    if group_of.keys().isdisjoint(ids):
        return list(ids), "videos"
    return [f"group {group_of[name]}" if name in group_of else name for name in ids], "groups"
