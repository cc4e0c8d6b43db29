"""What the last epoch of a training of a study says of each val video, by the file of the video."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vidcls.campaign.folds import absolute_path
from vidcls.data.manifest import load_manifest
from vidcls.errors import VidclsError
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec


def right_answers(run: Run, spec: Spec) -> Mapping[Path, bool]:
    """Whether the last epoch classifies each val video correctly.

    Ids of videos may differ from table to table, so the files name them.

    Args:
        run: Finished run with `train.keep_last`.
        spec: Its spec, whose data is a table that vidcls wrote.

    Raises:
        VidclsError: If the predictions are missing or damaged.
    """
    file = run.predictions_file("val", "last")
    if not file.is_file():
        raise VidclsError(
            f"{run.folder}: the predictions of its last epoch are missing",
            hint="move this folder away and give the same command again, which trains it anew",
        )
    predictions = load_predictions(file)
    manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
    files = {video.id: absolute_path(video) for video in manifest.videos}
    right = predictions.logits.argmax(axis=1) == predictions.labels
    return {files[id_]: bool(hit) for id_, hit in zip(predictions.ids, right, strict=True)}
