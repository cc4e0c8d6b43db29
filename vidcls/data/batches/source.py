"""Interface by which training and evaluation read videos: batches of clips or of features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

from vidcls.data.manifest import Video
from vidcls.spec.sections import AugmentSection

BatchT_co = TypeVar("BatchT_co", covariant=True)


@dataclass(frozen=True)
class Batch:
    """Batch of clips for a model.

    Attributes:
        clip: `[B, C, T, H, W]` float32, normalised, on the device, channels innermost in memory.
        labels: `[B]` int64 on the device.
        host_labels: The same on the host, so that scoring does not have to read them back.
        ids: Ids of the B videos.
        flips: Whether each of the B clips is mirrored.
    """

    clip: Tensor
    labels: Tensor
    host_labels: tuple[int, ...]
    ids: tuple[str, ...]
    flips: tuple[bool, ...]


class BatchSource(Protocol[BatchT_co]):
    """Batches of a set of videos: decoded clips, or stored features of a frozen backbone."""

    @property
    def residency(self) -> str:
        """Location of the data: a value of `data.residency`, `features`, or `dataset` of the user."""

    @property
    def bad(self) -> Mapping[str, str]:
        """Reason why a video is left out, by video id."""

    @property
    def decoders(self) -> Mapping[str, str]:
        """Decoder of each good video, by video id."""

    def num_train_steps(self, videos: Sequence[Video], *, batch_size: int) -> int:
        """Number of batches of an epoch over the good videos in `videos`."""

    def train_batches(
        self,
        videos: Sequence[Video],
        *,
        augment: AugmentSection,
        seed: int,
        batch_size: int,
        epoch: int,
        start_step: int = 0,
    ) -> Iterator[BatchT_co]:
        """Batches of one epoch from `start_step` on, a pure function of (videos, seed, epoch, step).

        Args:
            videos: Training videos.
            augment: Augmentations of a clip.
            seed: Seed of the run.
            batch_size: Clips per batch; a single last clip joins the batch before it.
            epoch: Epoch, counted from 0.
            start_step: First batch to yield.
        """

    def eval_batches(self, videos: Sequence[Video], *, batch_size: int) -> Iterator[BatchT_co]:
        """Batches of the good videos in `videos`, each once, in order, in their deterministic view."""
