"""Batches of stored features for the head of a frozen network, as `Clips` gives batches of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidcls.data.batches.batching import batch_bounds, drawn_views, sample_order
from vidcls.data.batches.source import Batch
from vidcls.data.batches.transfer import Copier, to_device
from vidcls.data.manifest import Video
from vidcls.data.sampling import Indices
from vidcls.data.store.residency import fits_device
from vidcls.errors import VidclsError
from vidcls.features.store import StoredFeatures
from vidcls.kept import kept
from vidcls.models.kinds.base import VideoModel
from vidcls.spec.sections import AugmentSection

_BLOCK = 256  # videos that are reduced at a time


@dataclass(frozen=True)
class FeatureBatch:
    """Batch of features for a head.

    Attributes:
        features: Reduced features of each backbone, `[B, ...]` float32, on the device.
        labels: `[B]` int64 on the device.
        host_labels: The same on the host.
        ids: Ids of the B videos.
    """

    features: tuple[Tensor, ...]
    labels: Tensor
    host_labels: tuple[int, ...]
    ids: tuple[str, ...]


AnyBatch = Batch | FeatureBatch


class FeatureClips:
    """Batches of stored features; the videos and their order are the same as in `Clips`.

    Args:
        evaluated: Features of the deterministic view of each video.
        trained: Features of the fixed training views; the same store if training does not augment. Both
            stores hold the same videos.
        videos: All videos that may be requested.
        bad: Reason why a video is left out, by video id.
        mirrored: Returns the label of each mirrored clip, by label, under an augment section.
        model: Model that reduces the features.
        device: Device of the batches.

    Attributes:
        residency: `features`.
        bad: Reason why a video is left out, by video id.
        decoders: Decoder of each video, by video id.

    Raises:
        VidclsError: If the two stores hold different videos.
    """

    residency = "features"

    def __init__(
        self,
        *,
        evaluated: StoredFeatures,
        trained: StoredFeatures,
        videos: Sequence[Video],
        bad: Mapping[str, str],
        mirrored: Callable[[AugmentSection], Sequence[int]],
        model: VideoModel,
        device: torch.device,
    ) -> None:
        self.bad = bad
        self.decoders = {v.id: evaluated.decoders[v.digest] for v in videos if v.id not in self.bad}
        if trained.digests != evaluated.digests:
            raise VidclsError("the features for training and for evaluation are from different videos")
        self._trained = trained
        self._mirrored = mirrored
        self._device = device
        self._copier = Copier(device)
        self._row_by_digest = {digest: row for row, digest in enumerate(evaluated.digests)}
        self._eval_leaves = _on_device(_reduced(evaluated, model), device)
        self._train_leaves = (
            self._eval_leaves if trained is evaluated else _on_device(_reduced(trained, model), device)
        )

    def num_train_steps(self, videos: Sequence[Video], *, batch_size: int) -> int:
        """Number of batches of an epoch over the good videos in `videos`."""
        return len(batch_bounds(len(self._good(videos)), batch_size))

    def train_batches(
        self,
        videos: Sequence[Video],
        *,
        augment: AugmentSection,
        seed: int,
        batch_size: int,
        epoch: int,
        start_step: int = 0,
    ) -> Iterator[FeatureBatch]:
        """Batches of one epoch from `start_step` on; see `Clips.train_batches`."""
        good = self._good(videos)
        mirrored = np.array(self._mirrored(augment))
        order = sample_order(len(good), seed=seed, epoch=epoch)
        views = drawn_views(len(good), num_views=self._trained.flips.shape[1], seed=seed, epoch=epoch)
        stored_rows = self._rows_of(good)
        flips = self._trained.flips[stored_rows, views]
        labels = np.array([video.label for video in good], np.int64)
        labels = np.where(flips, mirrored[labels], labels)
        yield from self._batches(
            self._train_leaves,
            [good[row] for row in order],
            labels[order],
            at=(stored_rows[order], views[order]),
            bounds=batch_bounds(len(good), batch_size)[start_step:],
        )

    def eval_batches(self, videos: Sequence[Video], *, batch_size: int) -> Iterator[FeatureBatch]:
        """Batches of the good videos in `videos`, each once, in order, in their deterministic view."""
        good = self._good(videos)
        stored_rows = self._rows_of(good)
        yield from self._batches(
            self._eval_leaves,
            good,
            np.array([video.label for video in good], np.int64),
            at=(stored_rows, np.zeros_like(stored_rows)),
            bounds=[(start, start + batch_size) for start in range(0, len(good), batch_size)],
        )

    def _good(self, videos: Sequence[Video]) -> list[Video]:
        return [video for video in videos if video.id not in self.bad]

    def _rows_of(self, videos: Sequence[Video]) -> Indices:
        return np.array([self._row_by_digest[video.digest] for video in videos], np.int64)

    def _batches(
        self,
        leaves: Sequence[Tensor],
        videos: Sequence[Video],
        labels: Indices,
        *,
        at: tuple[Indices, Indices],
        bounds: Sequence[tuple[int, int]],
    ) -> Iterator[FeatureBatch]:
        num_views = leaves[0].shape[1]
        flat = [leaf.flatten(0, 1) for leaf in leaves]
        # One copy for a whole epoch, not one for each batch.
        rows = to_device(torch.from_numpy(at[0] * num_views + at[1]), flat[0].device)
        labels_there = to_device(torch.from_numpy(labels), self._device)
        selected = (
            (slice(*ends), [leaf.index_select(0, rows[slice(*ends)]) for leaf in flat]) for ends in bounds
        )
        for part, features in self._copier.ahead(selected):
            yield FeatureBatch(
                features=tuple(features),
                labels=labels_there[part],
                host_labels=tuple(labels[part].tolist()),
                ids=tuple(video.id for video in videos[part]),
            )


def _reduced(stored: StoredFeatures, model: VideoModel) -> tuple[Tensor, ...]:
    """Reduced features `[N, V, ...]` of each backbone, which depend on the classes of the model alone."""
    own = tuple(type(leaf) for leaf in model.leaves())
    return kept(("reduced", stored, type(model), own), lambda: _reduce(stored, model))


@torch.no_grad()
def _reduce(stored: StoredFeatures, model: VideoModel) -> tuple[Tensor, ...]:
    """Reduce the features; those that stay as they are stay mapped."""
    num_views = stored.flips.shape[1]
    blocks: list[tuple[Tensor, ...]] = []
    for start in range(0, len(stored.digests), _BLOCK):
        block = [leaf[start : start + _BLOCK].flatten(0, 1) for leaf in stored.leaves]
        reduced = model.reduce(block)
        if all(after is before for after, before in zip(reduced, block, strict=True)):
            return stored.leaves
        blocks.append(tuple(leaf.reshape(-1, num_views, *leaf.shape[1:]) for leaf in reduced))
    return tuple(map(torch.cat, zip(*blocks, strict=True)))


def _on_device(leaves: tuple[Tensor, ...], device: torch.device) -> tuple[Tensor, ...]:
    """Features on the device if they fit into half of its free memory, otherwise unchanged."""
    if fits_device(sum(leaf.nbytes for leaf in leaves), device):
        return tuple(leaf.to(device) for leaf in leaves)
    return leaves
