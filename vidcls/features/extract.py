"""Extraction of the features of a frozen backbone: computed once for a set of videos, then read."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from vidcls.data.batches.augment.flip import flip_map
from vidcls.data.batches.clips import Clips
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.manifest import Video
from vidcls.features.clips import FeatureClips
from vidcls.features.reading import Reading
from vidcls.features.store import Block, FeatureStore
from vidcls.kept import kept
from vidcls.models.device import clip_format
from vidcls.models.kinds.base import BackboneModel
from vidcls.spec.sections import AugmentSection, Clip
from vidcls.spec.show import plain

EVALUATION = AugmentSection()
"""Views of evaluation: one deterministic view of each video."""
_BATCH_CLIPS = 8
"""Maximum number of clips in a batch of a frozen backbone."""
_CPU_BATCH_PIXELS = 16 * 224 * 224
"""Pixels of a batch without a GPU, which take seconds; signals are handled after each batch."""


@dataclass(frozen=True)
class Wanted:
    """Request for features.

    Attributes:
        videos: All videos that may be requested.
        views: Augment sections: the views of evaluation, then those of training if they differ.
        folder: Folder of the stored features.
    """

    videos: Sequence[Video]
    views: Sequence[AugmentSection]
    folder: Path


def computed_or_read(
    reading: Reading, wanted: Wanted, *, say: Callable[[str], None], progress: StageProgress
) -> FeatureClips:
    """Read the features of videos; compute and store them if they do not exist.

    Args:
        reading: Model and data.
        wanted: Requested features.
        say: Receives a message on whether they are computed or read, and where they are stored.
        progress: Called with (stage, done, total); may raise to stop.

    Raises:
        VidclsError: As for `open_clips`, or if the disk is too small.
    """
    videos = wanted.videos
    stores = _stores(reading, wanted, sorted({video.digest for video in videos}))
    bad: dict[str, str] = {}
    started = time.monotonic()
    is_computed = False
    if not all(store.is_published() for store in stores):
        # Some videos may be unusable: the clips decide whether that is allowed, and which ones they are.
        with reading.frames(videos, progress=progress) as clips:
            bad = dict(clips.bad)
            good = {video.digest: video for video in reversed(videos) if video.id not in bad}
            stores = _stores(reading, wanted, sorted(good))
            for store, augment in zip(stores, wanted.views, strict=True):
                if not store.is_published():
                    is_computed = True
                    _build(store, reading, clips, good, augment=augment, progress=progress)
    how = f"computed in {time.monotonic() - started:.0f} s" if is_computed else "read"
    return _opened(reading, wanted, stores, bad=bad, say=say, progress=progress, how=how)


def read_if_stored(
    reading: Reading, wanted: Wanted, *, say: Callable[[str], None], progress: StageProgress
) -> FeatureClips | None:
    """Read the features of videos if they are stored, else None; `say` receives where they are."""
    stores = _stores(reading, wanted, sorted({video.digest for video in wanted.videos}))
    if not all(store.is_published() for store in stores):
        return None
    return _opened(reading, wanted, stores, say=say, progress=progress, how="read")


def _opened(
    reading: Reading,
    wanted: Wanted,
    stores: Sequence[FeatureStore],
    *,
    say: Callable[[str], None],
    progress: StageProgress,
    how: str,
    bad: Mapping[str, str] = MappingProxyType({}),
) -> FeatureClips:
    """Open the store of the evaluation views and, if different, the store of the training views."""
    opened = [kept(("features", store.path), partial(store.open, progress=progress)) for store in stores]
    views = " + ".join(f"{stored.flips.shape[1]}" for stored in opened)
    size = sum(stored.num_bytes for stored in opened) / 1e6
    where = ", ".join(str(store.path) for store in stores)
    say(
        f"features of the frozen backbone: {len(opened[0].digests)} videos x {views} views, {size:.1f} MB, "
        f"{how}: {where}"
    )

    data = reading.spec.data

    def mirrored(augment: AugmentSection) -> tuple[int, ...]:
        return flip_map(augment, flip_labels=data.flip_labels, classes=reading.manifest.classes)

    return FeatureClips(
        evaluated=opened[0],
        trained=opened[-1],
        videos=wanted.videos,
        bad=bad,
        mirrored=mirrored,
        model=reading.model,
        device=reading.device,
    )


def _stores(reading: Reading, wanted: Wanted, digests: Sequence[str]) -> list[FeatureStore]:
    """One store for each set of views."""
    return [_store(reading, wanted.folder, digests, augment) for augment in wanted.views]


def _store(reading: Reading, folder: Path, digests: Sequence[str], augment: AugmentSection) -> FeatureStore:
    data, clip = reading.spec.data, reading.clip
    leaves = reading.model.leaves()
    identity = {
        "leaves": [_digest_of(leaf) for leaf in leaves],
        "clip": {**plain(clip), "normalisation": [list(values) for values in clip.normalisation]},
        "augment": plain(augment),
        "decoder": data.decoder,
        "source": data.source,
        # Kernels of different devices differ in the last bits.
        "device": reading.device.type,
        "videos": list(digests),
    }
    return FeatureStore(folder, identity=identity)


def _digest_of(leaf: BackboneModel) -> str:
    """Digest of what a leaf computes; its backbone is frozen."""
    known: MutableMapping[nn.Module, dict[str, str]] = kept("digests of backbones", WeakKeyDictionary)
    own, encoding = known.setdefault(leaf.backbone, {}), f"{leaf.sees}: {leaf.encoding}"
    if encoding not in own:
        own[encoding] = _digest(leaf.backbone, encoding)
    return own[encoding]


def _digest(backbone: nn.Module, encoding: str) -> str:
    """Digest of the structure and the weights of a backbone, and of its encoding."""
    digest = hashlib.blake2b(f"{encoding}\n{backbone!r}".encode(), digest_size=16)
    # Buffers that are in no checkpoint change features too.
    for name, tensor in {**backbone.state_dict(), **dict(backbone.named_buffers())}.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _batch_clips(clip: Clip, device: torch.device) -> int:
    """Number of clips in a batch: a good size for a GPU, or what a CPU computes in seconds."""
    pixels = clip.frames * math.prod(clip.size)
    return _BATCH_CLIPS if device.type == "cuda" else max(1, min(_BATCH_CLIPS, _CPU_BATCH_PIXELS // pixels))


def _build(
    store: FeatureStore,
    reading: Reading,
    clips: Clips,
    good: Mapping[str, Video],
    *,
    augment: AugmentSection,
    progress: StageProgress,
) -> None:
    model = reading.model.to(reading.device).eval()
    num_views = augment.num_views or 1
    batch_clips = _batch_clips(reading.clip, reading.device)
    indices = {digest: index for index, digest in enumerate(sorted(good))}

    @torch.inference_mode()
    def encode(part: Sequence[Video], view: int) -> Block:
        batches = (
            clips.eval_batches(part, batch_size=batch_clips)
            if augment is EVALUATION
            else clips.view_batches(part, augment=augment, view=view, batch_size=batch_clips)
        )
        memory_format = clip_format(channels_last=reading.spec.train.channels_last)
        leaves: list[Sequence[torch.Tensor]] = []
        flips: list[bool] = []
        for batch in batches:
            features = model.encode(batch.clip.contiguous(memory_format=memory_format))
            leaves.append(features)
            flips += batch.flips
            # Signals are handled here, since a block may take longer than a queue waits.
            done = (view * len(part) + len(flips)) // num_views
            progress("features", indices[part[0].digest] + done, len(good))
        # Read back once for all batches, so that the device does not wait between them.
        whole = (torch.cat(parts).cpu().numpy() for parts in zip(*leaves, strict=True))
        return Block(tuple(whole), np.array(flips))

    def compute(digests: Sequence[str]) -> Block:
        part = [good[digest] for digest in digests]
        blocks = [encode(part, view) for view in range(num_views)]
        leaves = zip(*(block.leaves for block in blocks), strict=True)
        return Block(
            tuple(np.stack(views, axis=1) for views in leaves),
            np.stack([block.flips for block in blocks], axis=1),
        )

    store.build(
        sorted(good),
        compute,
        num_views=num_views,
        decoders={digest: clips.decoders[video.id] for digest, video in good.items()},
        progress=progress,
    )
