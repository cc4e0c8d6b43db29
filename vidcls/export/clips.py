"""Clips of a run's data, on which an exported model is checked, calibrated and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from vidcls.choices import Split
from vidcls.data.batches.dataset_clips import DatasetClips
from vidcls.data.batches.raw_clips import raw_clips
from vidcls.data.decoding.workers import Failure, StageProgress
from vidcls.data.manifest import Manifest, Video
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.run_data import data_of
from vidcls.export.inputs import ModelInput
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip

_BATCH_SIZE = 8


@dataclass(frozen=True)
class RunClips:
    """Clips of the data of a run, in the form that its exported model takes.

    Attributes:
        spec: Spec with absolute paths of the data.
        manifest: Manifest of the data.
        clip: Clip section of the model's input.
        progress: Called in the stage `probe`.
    """

    spec: Spec
    manifest: Manifest
    clip: Clip
    progress: StageProgress

    @classmethod
    def of(cls, run: Run, clip: Clip, progress: StageProgress) -> Self:
        """Open the data of a run.

        Raises:
            VidclsError: If the data is not there, or is no longer that of the training.
        """
        spec, manifest = data_of(run)
        return cls(spec, manifest, clip, progress)

    def of_split(self, split: Split, most: int | None = None) -> Iterator[tuple[Video, np.ndarray]]:
        """Yield the clips of a split; videos that cannot be read are left out.

        Args:
            split: Split, never test.
            most: Number of videos, spread evenly over the split; None for all.

        Raises:
            UserError: If an item of a user's data set fails.
        """
        assert split != "test", "the test split is sealed"
        videos: Sequence[Video] = self.manifest.split(split)
        if most is not None and most < len(videos):
            videos = [videos[k * len(videos) // most] for k in range(most)]
        return self._of_videos(videos) if self.spec.data.target is None else self._of_items(videos)

    def _of_videos(self, videos: Sequence[Video]) -> Iterator[tuple[Video, np.ndarray]]:
        decoded = raw_clips(
            videos,
            data=self.spec.data,
            clip=self.clip,
            store_dir=Path(self.spec.store_dir),
            progress=self.progress,
        )
        for video, pixels in decoded:
            if not isinstance(pixels, Failure):
                yield video, pixels

    def _of_items(self, videos: Sequence[Video]) -> Iterator[tuple[Video, np.ndarray]]:
        if not videos:
            return
        with DatasetClips(
            videos,
            data=self.spec.data,
            asked=self.spec.clip,
            clip=self.clip,
            store_dir=Path(self.spec.store_dir),
            classes=self.manifest.classes,
            device=torch.device("cpu"),
        ) as clips:
            left = iter(videos)
            for batch in clips.eval_batches(videos, batch_size=_BATCH_SIZE):
                for clip in batch.clip.numpy():
                    yield next(left), clip


def parity_clips(
    data: RunClips | VidclsError, taken: ModelInput, num: int
) -> tuple[np.ndarray, VidclsError | None]:
    """Clips for a comparison, `[num, ...]`: of val, or random ones where val has none that can be read.

    Args:
        data: Data of the run, or why it cannot be read.
        taken: Input of the graph.
        num: Number of clips; those of a smaller val are repeated.

    Returns:
        Clips, and why they are random; None for those of val.
    """
    if isinstance(data, VidclsError):
        return taken.random(num), data
    try:
        found = [clip for _, clip in data.of_split("val", num)]
    except UserError as error:
        return taken.random(num), error
    if not found:
        return taken.random(num), UserError("no video of val can be read")
    return np.stack([found[k % len(found)] for k in range(num)]), None
