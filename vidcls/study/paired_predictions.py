"""Loads the stored logits of several runs for the same videos in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from vidcls.choices import Split
from vidcls.data.manifest import Video
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.predictions import Predictions, load_predictions
from vidcls.run.folder import Checkpoint, Run

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


def groups_of(videos: Mapping[str, Video], ids: Sequence[str]) -> tuple[list[str], Unit]:
    """Groups of videos.

    Args:
        videos: Videos of the data by id, see `run_data.videos_of`.
        ids: Video ids.

    Returns:
        Group of each video, and the unit: each video is its own group if no group is known.
    """
    group_of = {name: video.group for name, video in videos.items() if video.group is not None}
    if group_of.keys().isdisjoint(ids):
        return list(ids), "videos"
    return [f"group {group_of[name]}" if name in group_of else name for name in ids], "groups"
