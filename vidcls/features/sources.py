"""What a training or an evaluation reads: clips, or the stored features of a frozen backbone.

A training stores features, computed once for all runs that share them, where the backbone is frozen whole
and each video has a fixed number of views: without augmentation, or under `augment.num_views`. An evaluation
reads those that are there; of the test split it stores them under the seal, where only evaluations look.
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

_FOLDER = "features"


@contextmanager
def open_inputs(
    reading: Reading, *, say: Callable[[str], None], progress: StageProgress
) -> Iterator[BatchSource[AnyBatch]]:
    """Clips of train and val for the length of a `with` block, or their features where these can be stored.

    Args:
        reading: What is read.
        say: Told whether features are stored, read, or why they are not.
        progress: Told (stage, done, total).

    Raises:
        VidclsError: As `open_clips` does, or if the disk is too small for the features.
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
        say(f"features of the frozen backbone are computed anew in each epoch: {obstacle}")
    with reading.frames(reading.manifest.training, progress=progress) as clips:
        if (reading.spec.data.residency, clips.residency) == ("auto", "streamed"):
            say(f"{reading.spec.store_dir}: no room for decoded clips: videos are decoded anew in each epoch")
        yield clips


@contextmanager
def open_scored(
    reading: Reading, *, say: Callable[[str], None], progress: StageProgress
) -> Iterator[BatchSource[AnyBatch]]:
    """Clips of train and val, or their features if a training has stored them.

    Args:
        reading: What is read; its model is a restored one.
        say: Told where features are read.
        progress: Told (stage, done, total).

    Raises:
        VidclsError: As `open_clips` does.
    """
    videos = reading.manifest.training
    if _obstacle(reading) is None:
        wanted = Wanted(videos, [EVALUATION], Path(reading.spec.store_dir) / _FOLDER)
        if (features := read_if_stored(reading, wanted, say=say, progress=progress)) is not None:
            yield features
            return
    with reading.frames(videos, progress=progress) as clips:
        yield clips


@contextmanager
def open_sealed(
    reading: Reading, features_dir: Path, *, say: Callable[[str], None], progress: StageProgress
) -> Iterator[BatchSource[AnyBatch]]:
    """Clips of the test split, or their features, which are stored apart. First the opening is noted.

    Args:
        reading: What is read; its model is a restored one.
        features_dir: Folder of features of the ledger in which the opening was noted.
        say: Told where features are stored or read.
        progress: Told (stage, done, total).

    Raises:
        VidclsError: As `open_clips` does, or if the disk is too small for the features.
    """
    videos = reading.manifest.split("test")
    if _obstacle(reading) is None:
        wanted = Wanted(videos, [EVALUATION], features_dir)
        yield computed_or_read(reading, wanted, say=say, progress=progress)
        return
    with reading.frames(videos, progress=progress) as clips:
        yield clips


def _obstacle(reading: Reading) -> str | None:
    """Why features cannot be stored, empty where nothing is frozen whole; None if they can."""
    spec = reading.spec
    if not all(is_frozen(leaf.backbone) for leaf in reading.model.leaves()):
        return ""
    if spec.train.unfreeze_every is not None:
        return ""
    if spec.data.residency == "streamed":
        return "data.residency: streamed keeps nothing on disk"
    if reading.clip.unit == "frame":
        return "clip.unit: frame trains on frames alone"
    if not spec.has_fixed_views:
        return "each epoch draws new views; augment.num_views fixes their number"
    return None
