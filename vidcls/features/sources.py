"""Input of a training or an evaluation: clips, or the stored features of a frozen backbone.

A training stores features, computed once for all runs that share them, if the backbone is fully frozen and
each video has a fixed number of views: without augmentation, or under `augment.num_views`. An evaluation
reads existing features; those of the test split are stored separately with its ledger, and only evaluations
read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vidcls.data.batches.source import BatchSource
from vidcls.data.decoding.workers import StageProgress
from vidcls.features.clips import AnyBatch
from vidcls.features.extract import EVALUATION, Wanted, computed_or_read, read_if_stored
from vidcls.features.reading import Reading
from vidcls.models.freezing import is_frozen
from vidcls.models.kinds.custom import whole_part

_FOLDER = "features"


@contextmanager
def open_inputs(
    reading: Reading, *, say: Callable[[str], None], progress: StageProgress
) -> Iterator[BatchSource[AnyBatch]]:
    """Clips of train and val for the length of a `with` block, or their features if these can be stored.

    Args:
        reading: Data and model.
        say: Receives a message on whether features are stored or read, or why not.
        progress: Called with (stage, done, total).

    Raises:
        VidclsError: As for `open_clips`, or if the disk is too small for the features.
    """
    obstacle = _obstacle(reading)
    if obstacle is None:
        augment = reading.spec.augment
        views = [EVALUATION] if augment.num_views is None else [EVALUATION, augment]
        folder = Path(reading.spec.store_dir) / _FOLDER
        wanted = Wanted(reading.manifest.training, views, folder)
        yield computed_or_read(reading, wanted, say=say, progress=progress)
        return
    if obstacle:
        say(f"features of the frozen backbone are not stored but computed in each epoch: {obstacle}")
    with reading.clips(reading.manifest.training, progress=progress) as clips:
        if (reading.spec.data.residency, clips.residency) == ("auto", "streamed"):
            say(
                f"{reading.spec.store_dir}: not enough room for decoded clips, so videos are decoded in "
                "each epoch"
            )
        yield clips


@contextmanager
def open_scored(
    reading: Reading, *, say: Callable[[str], None], progress: StageProgress
) -> Iterator[BatchSource[AnyBatch]]:
    """Clips of train and val, or their features if a training has stored them.

    Args:
        reading: Data and restored model.
        say: Receives the folder from which features are read.
        progress: Called with (stage, done, total).

    Raises:
        VidclsError: As for `open_clips`.
    """
    videos = reading.manifest.training
    if _obstacle(reading) is None:
        wanted = Wanted(videos, [EVALUATION], Path(reading.spec.store_dir) / _FOLDER)
        if (features := read_if_stored(reading, wanted, say=say, progress=progress)) is not None:
            yield features
            return
    with reading.clips(videos, progress=progress) as clips:
        yield clips


@contextmanager
def open_sealed(
    reading: Reading, features_dir: Path, *, say: Callable[[str], None], progress: StageProgress
) -> Iterator[BatchSource[AnyBatch]]:
    """Clips of the test split, or their separately stored features. Record the opening before this call.

    Args:
        reading: Data and restored model.
        features_dir: Features folder of the ledger in which the opening was recorded.
        say: Receives the folder in which features are stored or read.
        progress: Called with (stage, done, total).

    Raises:
        VidclsError: As for `open_clips`, or if the disk is too small for the features.
    """
    videos = reading.manifest.split("test")
    if _obstacle(reading) is None:
        wanted = Wanted(videos, [EVALUATION], features_dir)
        yield computed_or_read(reading, wanted, say=say, progress=progress)
        return
    with reading.clips(videos, progress=progress) as clips:
        yield clips


def _obstacle(reading: Reading) -> str | None:
    """Reason why features cannot be stored, empty if no backbone is fully frozen; None if they can."""
    spec = reading.spec
    if spec.model.freezes_backbone and (whole := whole_part(reading.model)) is not None:
        return whole
    if not all(is_frozen(leaf.backbone) for leaf in reading.model.leaves()):
        return ""
    if spec.train.unfreeze_every is not None:
        return ""
    if spec.data.target is not None:
        return "data.target may draw other clips in each epoch, which cannot be known"
    if spec.data.residency == "streamed":
        return "data.residency: streamed stores nothing on disk"
    if reading.clip.unit == "frame":
        return "clip.unit: frame trains on single frames"
    if spec.augment.mixup:
        return "augment.mixup mixes clips anew in each step"
    if not spec.has_fixed_views:
        return "each epoch draws new views; set augment.num_views for a fixed number of views"
    return None
