"""Combination of data and model for reading clips or features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from vidcls.data.batches.clips import Clips
from vidcls.data.batches.dataset_clips import DatasetClips
from vidcls.data.batches.open_clips import open_clips
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.manifest import Manifest, Video, load_manifest
from vidcls.kept import kept
from vidcls.models.kinds.base import VideoModel
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip


def read_manifest(spec: Spec, progress: Callable[[int, int], None]) -> Manifest:
    """Manifest of the data of a spec; in a process that keeps values, read again only if the data changed.

    Args:
        spec: Spec of a training.
        progress: Called with the number of files read, and of all.

    Raises:
        UserError: As for `load_manifest`.
    """
    read = partial(load_manifest, spec.data, cache_dir=Path(spec.store_dir), progress=progress)
    return kept(("manifest", repr(spec.data), spec.store_dir), read, state_of=Manifest.state_on_disk)


@dataclass(frozen=True)
class Reading:
    """Data to read, and the model that reads it.

    Attributes:
        spec: Spec of the run.
        clip: Clip section, which describes the input of the model.
        manifest: Manifest of the data.
        model: Model with its weights.
        device: Device of the batches.
    """

    spec: Spec
    clip: Clip
    manifest: Manifest
    model: VideoModel
    device: torch.device

    def clips(
        self, videos: Sequence[Video], *, progress: StageProgress, stored: bool = True
    ) -> Clips | DatasetClips:
        """Open the clips of videos, or of items of a user's data set; see `frames` and `DatasetClips`."""
        if self.spec.data.target is None:
            return self.frames(videos, progress=progress, stored=stored)
        return DatasetClips(
            videos,
            data=self.spec.data,
            asked=self.spec.clip,
            clip=self.clip,
            store_dir=Path(self.spec.store_dir),
            classes=self.manifest.classes,
            device=self.device,
        )

    def frames(self, videos: Sequence[Video], *, progress: StageProgress, stored: bool = True) -> Clips:
        """Open the clips of videos; see `open_clips`."""
        data = self.spec.data
        return open_clips(
            videos,
            data=data if stored else data.model_copy(update={"residency": "streamed"}),
            clip=self.clip,
            classes=self.manifest.classes,
            store_dir=Path(self.spec.store_dir),
            device=self.device,
            progress=progress,
        )
