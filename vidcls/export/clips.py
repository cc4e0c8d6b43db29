"""Raw clips of a run's data, on which an exported model is checked, calibrated and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from vidcls.choices import Split
from vidcls.data.batches.raw_clips import raw_clips, raw_shape
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import Failure, StageProgress
from vidcls.data.manifest import Manifest, Video
from vidcls.errors import VidclsError
from vidcls.evaluate.stored import data_of
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip

_SEED = 0


@dataclass(frozen=True)
class RunClips:
    """Clips of the data of a run.

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

    def of_split(self, split: Split, most: int | None = None) -> Iterator[tuple[Video, Pixels]]:
        """Yield the readable clips of a split.

        Args:
            split: Split, never test.
            most: Number of videos, spread evenly over the split; None for all.
        """
        assert split != "test", "the test split is sealed"
        videos: Sequence[Video] = self.manifest.split(split)
        if most is not None and most < len(videos):
            videos = [videos[k * len(videos) // most] for k in range(most)]
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


def parity_clips(
    data: RunClips | VidclsError, clip: Clip, num: int
) -> tuple[Literal["val", "random"], Pixels]:
    """Clips for a comparison, `[num, N, H, W, C]`: of val, or random bytes where no video of val can be read.

    Args:
        data: Data of the run, or why it cannot be read.
        clip: Clip section of the model's input.
        num: Number of clips; those of a smaller val are repeated.
    """
    found = [] if isinstance(data, VidclsError) else [pixels for _, pixels in data.of_split("val", num)]
    if found:
        return "val", np.stack([found[k % len(found)] for k in range(num)])
    rng = np.random.default_rng(_SEED)
    return "random", rng.integers(0, 256, (num, *raw_shape(clip)), np.uint8)
