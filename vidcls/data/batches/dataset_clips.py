"""Batches of the clips of a data set of the user.

    item of the data set     (clip, label)       made in a worker, under random generators seeded for it
    batch                    [B, C, T, H, W]     float32: as it is; uint8: normalised on the device,
                                                 (clip / 255 - clip.mean) / clip.std

Before each item, the generators of Python, NumPy and torch are seeded: in training from (seed, epoch, item),
in evaluation from the item alone. So a batch is a pure function of (videos, seed, epoch, step), for any
number of workers.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from vidcls.data.batches.augment.flip import exchanged_labels, mirrored_name
from vidcls.data.batches.batching import batch_bounds, sample_order
from vidcls.data.batches.source import Batch
from vidcls.data.batches.transfer import Copier
from vidcls.data.modality import levels
from vidcls.data.user_dataset.checked import Expected
from vidcls.data.user_dataset.construct import DatasetCode
from vidcls.data.user_dataset.items import MIXED, Items, Request
from vidcls.data.user_dataset.loader import Loader
from vidcls.data.user_dataset.manifest import cached_labels
from vidcls.data.videos import Video
from vidcls.errors import UserError
from vidcls.spec.data import DataSection
from vidcls.spec.sections import AugmentSection, Clip, ClipSection


class DatasetClips:
    """Batches of the clips of a data set of the user; closed by `close` or a `with` block.

    Args:
        videos: Items that may be requested; the first is made at once.
        data: Data section with the target.
        asked: Clip section of the spec.
        clip: Clip section, which describes the input of the model.
        classes: Class names by label.
        store_dir: Folder of the cache of labels.
        device: Device of the batches.

    Attributes:
        residency: `dataset`.
        bad: Empty: an item that fails is an error.
        decoders: `dataset` for each item, by video id.
        is_normalised: Whether the data set gives uint8 clips, which are normalised here.

    Raises:
        UserError: If the first item cannot be made, is not what the model takes, or makes a setting of the
            clip section useless.
        VidclsError: If a worker died.
    """

    residency = "dataset"
    bad: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        videos: Sequence[Video],
        *,
        data: DataSection,
        asked: ClipSection,
        clip: Clip,
        classes: Sequence[str],
        store_dir: Path,
        device: torch.device,
    ) -> None:
        self.decoders = {video.id: "dataset" for video in videos}
        self._exchanged = exchanged_labels(data.flip_labels or {}, classes)
        self._classes = classes
        self._device = device
        self._copier = Copier(device)
        self._dataset, self._store_dir = DatasetCode.of(data), store_dir
        self._items = Items(self._dataset, Expected.of(clip, num_classes=len(classes)))
        loader = Loader(self._items, data=data, pin=device.type == "cuda")
        self._loader: list[Loader] = [loader]
        self.close = weakref.finalize(self, self._loader.clear)
        scale, shift = (torch.from_numpy(np.asarray(row, np.float32)) for row in levels(clip, 1.0, 1.0))
        self._levels = tuple(row.to(device)[:, None, None, None] for row in (scale, shift))
        first = next(loader.batches([[_request(videos[0])]]))
        self.is_normalised = first.clips.dtype == torch.uint8
        if not self.is_normalised:
            _refuse_levels(asked, self._items.name(_request(videos[0]).item))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def num_train_steps(self, videos: Sequence[Video], *, batch_size: int) -> int:
        """Number of batches of an epoch over `videos`."""
        return len(batch_bounds(len(videos), batch_size))

    def train_batches(
        self,
        videos: Sequence[Video],
        *,
        augment: AugmentSection,  # noqa: ARG002  (only its mixup is allowed, and that is done to batches)
        seed: int,
        batch_size: int,
        epoch: int,
        start_step: int = 0,
    ) -> Iterator[Batch]:
        """Batches of one epoch from `start_step` on, in an order drawn from (seed, epoch).

        Raises:
            UserError: If an item fails or is not what the model takes, with its index and the user's line.
            VidclsError: If a worker died.
        """
        order = sample_order(len(videos), seed=seed, epoch=epoch).tolist()
        bounds = batch_bounds(len(videos), batch_size)[start_step:]
        batches = [[videos[index] for index in order[start:behind]] for start, behind in bounds]
        yield from self._batches(batches, key=(seed, epoch))

    def eval_batches(self, videos: Sequence[Video], *, batch_size: int) -> Iterator[Batch]:
        """Batches of `videos`, each once, in order; the random numbers of an item depend on it alone.

        Raises:
            UserError: As for `train_batches`.
            VidclsError: As for `train_batches`.
        """
        starts = range(0, len(videos), batch_size)
        yield from self._batches([videos[start : start + batch_size] for start in starts], key=())

    def _batches(self, batches: Sequence[Sequence[Video]], *, key: tuple[int, ...]) -> Iterator[Batch]:
        (loader,) = self._loader
        requests = [[_request(video, key) for video in videos] for videos in batches]
        made = zip(batches, loader.batches(requests, is_training=bool(key)), strict=True)

        def on_host() -> Iterator[tuple[tuple[Sequence[Video], tuple[int, ...]], list[Tensor]]]:
            for videos, (clips, labels) in made:
                if (clips.dtype == torch.uint8) != self.is_normalised:
                    raise UserError(f"{self._items.name(_request(videos[0]).item)}: {MIXED}")
                for video, label in zip(videos, labels, strict=True):
                    self._check_label(video, label, is_training=bool(key))
                yield (videos, labels), [torch.tensor(labels), clips]

        for (videos, labels), (labels_there, clips) in self._copier.ahead(on_host()):
            yield Batch(
                clip=self._normalised(clips) if self.is_normalised else clips,
                labels=labels_there,
                host_labels=labels,
                ids=tuple(video.id for video in videos),
                flips=(False,) * len(videos),
            )

    def _normalised(self, clips: Tensor) -> Tensor:
        scale, shift = self._levels
        return clips.to(torch.float32).mul_(scale).add_(shift)

    def _check_label(self, video: Video, label: int, *, is_training: bool) -> None:
        """Refuse an item with another label than the list of items has, unless a flip explains it."""
        if label == video.label or (is_training and label == self._exchanged[video.label]):
            return
        got, listed = self._classes[label], self._classes[video.label]
        raise UserError(
            f"{self._items.name(_request(video).item)}: gives the label {label} ({got}), but is listed with "
            f"{video.label} ({listed})",
            hint=self._label_hint(video, got=got, listed=listed),
        )

    def _label_hint(self, video: Video, *, got: str, listed: str) -> str:
        """What to do about an item with another label than listed."""
        assert video.item is not None
        if mirrored_name(listed) == got:
            return (
                f"if a mirror exchanges the two, set data.flip_labels: {{{listed}: {got}, {got}: {listed}}}"
            )
        old = cached_labels(self._dataset, video.item.split, cache_dir=self._store_dir)
        if old is None:
            return (
                "the attribute `labels` must be that of the items, in the same order whenever they are made"
            )
        return (
            f"the labels were read before and kept in {old}: if the files have changed since, remove it; if "
            "the data set is made in a random order, seed the shuffle, or sort"
        )


def _request(video: Video, key: tuple[int, ...] = ()) -> Request:
    assert video.item is not None, "a manifest of a user's data set has only items"
    return Request(video.item, key)


def _refuse_levels(asked: ClipSection, where: str) -> None:
    for name in ("mean", "std"):
        if getattr(asked, name) is not None:
            raise UserError(
                f"clip.{name}: has no effect, because {where} is float, which goes into the model as it is",
                hint=f"leave clip.{name} out and normalise in your data set, or return uint8 clips",
            )
