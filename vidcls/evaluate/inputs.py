"""What a training or an evaluation reads: clips, or the stored features of a frozen backbone.

A training stores features, computed once for all runs that share them, where the backbone is frozen whole
and each video has a fixed number of views: without augmentation, or under `augment.num_views`. An evaluation
reads those that are there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from vidcls.data.batches import Clips, open_clips
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.feature_clips import FeatureClips
from vidcls.data.features import Block, FeatureStore
from vidcls.data.manifest import Manifest, Video
from vidcls.data.views import flip_map
from vidcls.models.device import clip_format
from vidcls.models.freezing import is_frozen
from vidcls.models.video_model import VideoModel
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import AugmentSection, Clip, Split
from vidcls.spec.show import plain

_EVALUATION = AugmentSection()
_BATCH_CLIPS = 8
"""Clips that a frozen backbone takes at once."""


@dataclass(frozen=True)
class Reading:
    """What is read, and by which model.

    Attributes:
        spec: Of the run.
        clip: What the model takes.
        manifest: The data.
        model: With its weights.
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


@contextmanager
def open_inputs(
    reading: Reading, *, say: Callable[[str], None], progress: StageProgress
) -> Iterator[Clips | FeatureClips]:
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
        yield _features(reading, say=say, progress=progress)
        return
    if obstacle:
        say(f"features of the frozen backbone are computed anew in each epoch: {obstacle}")
    with reading.frames(reading.manifest.training, progress=progress) as clips:
        if (reading.spec.data.residency, clips.residency) == ("auto", "streamed"):
            say(f"{reading.spec.store_dir}: no room for decoded clips: videos are decoded anew in each epoch")
        yield clips


@contextmanager
def open_scored(
    reading: Reading, split: Split, *, say: Callable[[str], None], progress: StageProgress
) -> Iterator[Clips | FeatureClips]:
    """Clips of the videos of a split, or their features if a training has stored them; never those of test.

    Args:
        reading: What is read; its model is a restored one.
        split: What is scored.
        say: Told where features are read.
        progress: Told (stage, done, total).

    Raises:
        VidclsError: As `open_clips` does.
    """
    if split == "test":
        with reading.frames(reading.manifest.split("test"), progress=progress) as clips:
            yield clips
        return
    videos = reading.manifest.training
    if _obstacle(reading) is None:
        store = _store(reading, sorted({video.digest for video in videos}), _EVALUATION)
        if store.is_published():
            yield _opened(reading, [store], say=say, progress=progress, how="read")
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


def _features(reading: Reading, *, say: Callable[[str], None], progress: StageProgress) -> FeatureClips:
    spec, videos = reading.spec, reading.manifest.training
    sets = [_EVALUATION]
    if spec.augment.num_views is not None:
        sets.append(spec.augment)
    digests = sorted({video.digest for video in videos})
    stores = [_store(reading, digests, augment) for augment in sets]
    bad: dict[str, str] = {}
    started = time.monotonic()
    is_computed = False
    if not all(store.is_published() for store in stores):
        # Some videos may be of no use: whether that is allowed, and which they are, the clips know.
        with reading.frames(videos, progress=progress) as clips:
            bad = dict(clips.bad)
            good = {video.digest: video for video in reversed(videos) if video.id not in bad}
            stores = [_store(reading, sorted(good), augment) for augment in sets]
            for store, augment in zip(stores, sets, strict=True):
                if not store.is_published():
                    is_computed = True
                    _build(store, reading, clips, good, augment=augment, progress=progress)
    how = f"computed in {time.monotonic() - started:.0f} s" if is_computed else "read"
    return _opened(reading, stores, bad=bad, say=say, progress=progress, how=how)


def _opened(
    reading: Reading,
    stores: Sequence[FeatureStore],
    *,
    say: Callable[[str], None],
    progress: StageProgress,
    how: str,
    bad: Mapping[str, str] = MappingProxyType({}),
) -> FeatureClips:
    """Open the store of the evaluated views and, if it is another one, that of the trained views."""
    opened = [store.open(progress=progress) for store in stores]
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
        videos=reading.manifest.training,
        bad=bad,
        mirrored=mirrored,
        device=reading.device,
    )


def _store(reading: Reading, digests: Sequence[str], augment: AugmentSection) -> FeatureStore:
    data, clip = reading.spec.data, reading.clip
    leaves = reading.model.leaves()
    identity = {
        "leaves": [_digest(leaf.backbone, f"{leaf.sees}: {leaf.encoding}") for leaf in leaves],
        "clip": {**plain(clip), "normalisation": [list(values) for values in clip.normalisation]},
        "augment": plain(augment),
        "decoder": data.decoder,
        "source": data.source,
        # Kernels differ in the last bits.
        "device": reading.device.type,
        "videos": list(digests),
    }
    return FeatureStore(Path(reading.spec.store_dir), identity=identity)


def _digest(backbone: torch.nn.Module, encoding: str) -> str:
    """Of the structure and the weights of a backbone, and of what is kept of it."""
    digest = hashlib.blake2b(f"{encoding}\n{backbone!r}".encode(), digest_size=16)
    for name, tensor in backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


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
    places = {digest: place for place, digest in enumerate(sorted(good))}

    @torch.inference_mode()
    def encode(part: Sequence[Video], view: int) -> Block:
        batches = (
            clips.eval_batches(part, batch_size=_BATCH_CLIPS)
            if augment is _EVALUATION
            else clips.view_batches(part, augment=augment, view=view, batch_size=_BATCH_CLIPS)
        )
        memory_format = clip_format(channels_last=reading.spec.train.channels_last)
        leaves: list[list[np.ndarray]] = []
        flips: list[bool] = []
        for batch in batches:
            features = model.encode(batch.clip.contiguous(memory_format=memory_format))
            leaves.append([leaf.cpu().numpy() for leaf in features])
            flips += batch.flips
            # Here a signal is answered: a block may take longer than a queue waits.
            done = (view * len(part) + len(flips)) // num_views
            progress("features", places[part[0].digest] + done, len(good))
        return Block(tuple(map(np.concatenate, zip(*leaves, strict=True))), np.array(flips))

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
