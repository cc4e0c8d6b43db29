"""What training and evaluation see of the videos: batches, whatever they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from vidcls.data.manifest import Video
from vidcls.spec.sections import AugmentSection

BatchT_co = TypeVar("BatchT_co", covariant=True)


class BatchSource(Protocol[BatchT_co]):
    """Batches of a set of videos: of decoded clips, or of what a frozen backbone made of them."""

    @property
    def residency(self) -> str:
        """Where what is read lives: a `data.residency`, or `features`."""

    @property
    def bad(self) -> Mapping[str, str]:
        """Why a video is left out, by video id."""

    @property
    def decoders(self) -> Mapping[str, str]:
        """Decoder of each video that is not left out, by video id."""

    def num_train_steps(self, videos: Sequence[Video], *, batch_size: int) -> int:
        """Number of batches of an epoch over the good ones of `videos`."""

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
        """The batches of one epoch from `start_step` on, a pure function of (videos, seed, epoch, step).

        Args:
            videos: The training videos.
            augment: What happens to a clip.
            seed: Seed of the run.
            batch_size: Clips in each batch; a single last clip joins the batch before it.
            epoch: Counts from 0.
            start_step: First batch to give.
        """

    def eval_batches(self, videos: Sequence[Video], *, batch_size: int) -> Iterator[BatchT_co]:
        """The good ones of `videos`, each once, in order, in their deterministic view."""
