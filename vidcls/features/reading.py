"""What is read by which model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vidcls.data.batches.open_clips import Clips, open_clips
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.manifest import Manifest, Video
from vidcls.models.kinds.base import VideoModel
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip


@dataclass(frozen=True)
class Reading:
    """What is read, and by which model.

    Attributes:
        spec: Spec of the run.
        clip: What the model takes.
        manifest: The data.
        model: Model with its weights.
        device: Where batches go.
    """

    spec: Spec
    clip: Clip
    manifest: Manifest
    model: VideoModel
    device: torch.device

    def frames(self, videos: Sequence[Video], *, progress: StageProgress, stored: bool = True) -> Clips:
        """The clips of videos; see `open_clips`."""
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
