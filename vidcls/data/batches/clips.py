"""Batches of clips on the device, for training, evaluation and prediction.

A batch is a pure function of (videos, seed, epoch, step): training resumes at any step without saved state.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from vidcls.choices import Residency
from vidcls.data.batches.augment import eval_view, train_view
from vidcls.data.batches.augment.flip import flip_map
from vidcls.data.batches.augment.view import View
from vidcls.data.batches.batching import batch_bounds, drawn_views, sample_order
from vidcls.data.batches.buffers import Buffers
from vidcls.data.batches.prefetch import NUM_AHEAD, ahead
from vidcls.data.batches.source import Batch
from vidcls.data.batches.transfer import Copier
from vidcls.data.batches.transforms import cut, device_levels, finish, host_batch, pack
from vidcls.data.decoding.decode import Form, Probe
from vidcls.data.decoding.readers import Decoder
from vidcls.data.decoding.workers import Failure
from vidcls.data.manifest import Video
from vidcls.data.modality import needed_frames, num_moments
from vidcls.data.sampling import frame_indices, generator
from vidcls.data.store.residency import ClipFrames, FrameSource
from vidcls.errors import VidclsError
from vidcls.spec.data import DataSection
from vidcls.spec.sections import AugmentSection, Clip


@dataclass(frozen=True)
class _Planned:
    """Clip whose frames were requested."""

    video: Video
    label: int
    view: View
    frames: Callable[[], ClipFrames | Failure]


@dataclass(frozen=True)
class _Fetched:
    """Batch as far as it is prepared in advance, in the prefetching threads.

    Attributes:
        pixels: The finished clip for a CPU; for another device the packed windows, see `transforms`.
        clips: Clips of the batch.
    """

    pixels: list[Tensor]
    clips: list[_Planned]


class Clips:
    """Batches of the clips of a set of videos; made by `open_clips`, closed by `close` or a `with` block.

    Attributes:
        residency: Resolved value of `data.residency`.
        bad: Reason why a video is left out, by video id.
        decoders: Decoder of each video, `decord`, `pyav`, `images` or `fields`, by video id.
    """

    def __init__(
        self,
        source: FrameSource,
        *,
        residency: Residency,
        probes: Mapping[str, Probe],
        bad: dict[str, str],
        decoders: Mapping[str, Decoder],
        data: DataSection,
        clip: Clip,
        classes: Sequence[str],
        device: torch.device,
        report_bad: bool,
        close: Callable[[], None],
    ) -> None:
        self.residency = residency
        self.bad: Mapping[str, str] = bad
        self.decoders = decoders
        self._source = source
        self._bad = bad
        form = Form(clip.fit, clip.size)
        self._stored = {digest: form.scaled(probe.height, probe.width) for digest, probe in probes.items()}
        self._num_moments = {digest: num_moments(probe, clip) for digest, probe in probes.items()}
        self._data = data
        self._clip = clip
        self._classes = classes
        self._device = device
        self._levels = device_levels(clip, device)
        self._copier = Copier(device)
        self._report_bad = report_bad
        # Buffers for the prefetched batches, the next batch, and the batch that the model still reads.
        self._buffers = Buffers(NUM_AHEAD + 2)
        self.close = weakref.finalize(self, close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def num_train_steps(self, videos: Sequence[Video], *, batch_size: int) -> int:
        """Number of batches of an epoch over the good videos in `videos`."""
        return len(batch_bounds(self._num_samples(videos), batch_size))

    def train_batches(
        self,
        videos: Sequence[Video],
        *,
        augment: AugmentSection,
        seed: int,
        batch_size: int,
        epoch: int,
        start_step: int = 0,
    ) -> Iterator[Batch]:
        """Batches of one epoch from `start_step` on, in an order drawn from (seed, epoch).

        Bad videos are left out. Under `clip.unit: frame` each of the T frames of a video is a sample, a clip
        of one frame. The last batch may be smaller, but a single clip joins the batch before it.

        Args:
            videos: Training videos, among the opened ones.
            augment: Augmentations of a clip.
            seed: Seed of the run.
            batch_size: Clips per batch.
            epoch: Epoch, counted from 0.
            start_step: First batch to yield.

        Raises:
            UserError: If a flip would change labels in a way that `data.flip_labels` does not define.
            VidclsError: If a clip cannot be read, with its video.
        """
        mirrored = self.mirrored_labels(augment)
        good = [video for video in videos if video.id not in self.bad]
        samples_each = self._clip.frames if self._clip.unit == "frame" else 1
        order = sample_order(len(good) * samples_each, seed=seed, epoch=epoch)
        bounds = batch_bounds(len(order), batch_size)
        num_views = augment.num_views
        views = drawn_views(len(good), num_views=num_views or 1, seed=seed, epoch=epoch)

        def plan(sample: int) -> _Planned:
            number, k = divmod(sample, samples_each)
            video = good[number]
            own = ("clip", seed, epoch, video.id, k)
            rng = generator(*own) if num_views is None else _of_view(video, int(views[number]), k)
            return self._plan(video, mirrored, augment=augment, rng=rng, k=k)

        def fetch(step: int) -> _Fetched | None:
            start, behind = bounds[step]
            return self._fetch([plan(sample) for sample in order[start:behind].tolist()])

        yield from self._batches(fetch, range(start_step, len(bounds)))

    def view_batches(
        self, videos: Sequence[Video], *, augment: AugmentSection, view: int, batch_size: int
    ) -> Iterator[Batch]:
        """Batches of one of the fixed views of `augment.num_views`: each good video once, in order.

        Args:
            videos: Videos, among the opened ones.
            augment: Augmentations of a clip; under `num_views`, a training clip is one of these views.
            view: Number of the view, from 0.
            batch_size: Clips per batch; the last one may be smaller.

        Raises:
            UserError: As for `train_batches`.
            VidclsError: If a clip cannot be read, with its video.
        """
        mirrored = self.mirrored_labels(augment)
        good = [video for video in videos if video.id not in self.bad]

        def plan(video: Video) -> _Planned:
            return self._plan(video, mirrored, augment=augment, rng=_of_view(video, view, 0), k=0)

        def fetch(start: int) -> _Fetched | None:
            return self._fetch([plan(video) for video in good[start : start + batch_size]])

        yield from self._batches(fetch, range(0, len(good), batch_size))

    def mirrored_labels(self, augment: AugmentSection) -> tuple[int, ...]:
        """Label of a mirrored clip, for each label; see `flip_map`."""
        return flip_map(augment, flip_labels=self._data.flip_labels, classes=self._classes)

    def _plan(
        self,
        video: Video,
        mirrored: Sequence[int],
        *,
        augment: AugmentSection,
        rng: np.random.Generator,
        k: int,
    ) -> _Planned:
        """Plan a training clip and request its frames; `k` is the frame under `clip.unit: frame`."""
        moments = frame_indices(self._num_moments[video.digest], self._clip, rng=rng)
        if self._clip.unit == "frame":
            moments = moments[k : k + 1]
        view = train_view(self._stored[video.digest], self._clip, augment=augment, rng=rng)
        label = mirrored[video.label] if view.is_mirrored else video.label
        frames = self._source.request(video, needed_frames(moments, self._clip))
        return _Planned(video, label, view, frames)

    def eval_batches(self, videos: Sequence[Video], *, batch_size: int) -> Iterator[Batch]:
        """Batches of the good videos in `videos`, each once, in order, in their deterministic T-frame view.

        Args:
            videos: Videos, among the opened ones.
            batch_size: Clips per batch; the last one may be smaller.

        Raises:
            VidclsError: If a clip cannot be read, with its video; under `report_bad` it is added to `bad`.
        """
        good = [video for video in videos if video.id not in self.bad]

        def plan(video: Video) -> _Planned:
            moments = frame_indices(self._num_moments[video.digest], self._clip)
            view = eval_view(self._stored[video.digest], self._clip)
            frames = self._source.request(video, needed_frames(moments, self._clip))
            return _Planned(video, video.label, view, frames)

        def fetch(start: int) -> _Fetched | None:
            return self._fetch([plan(video) for video in good[start : start + batch_size]])

        yield from self._batches(fetch, range(0, len(good), batch_size))

    def _num_samples(self, videos: Sequence[Video]) -> int:
        num_good = sum(video.id not in self.bad for video in videos)
        return num_good * (self._clip.frames if self._clip.unit == "frame" else 1)

    def _fetch(self, planned: Sequence[_Planned]) -> _Fetched | None:
        """Batch of the readable clips; None if there is none."""
        windows: list[list[Tensor]] = []
        clips: list[_Planned] = []
        for clip in planned:
            frames = clip.frames()
            if not isinstance(frames, Failure):
                windows.append(cut(frames, clip.view))
                clips.append(clip)
            elif self._report_bad:
                self._bad[clip.video.id] = frames.reason
            else:
                raise VidclsError(
                    f"{clip.video.path}: was readable before, but is not now: {frames.reason}",
                    hint="give the same command again to continue; data.timeout_s sets the time limit",
                )
        if not clips:
            return None
        views = [clip.view for clip in clips]
        if self._device.type == "cpu":
            return _Fetched([host_batch(windows, views, clip=self._clip, buffers=self._buffers)], clips)
        return _Fetched(pack(windows, pin=self._device.type == "cuda"), clips)

    def _batches(self, fetch: Callable[[int], _Fetched | None], steps: range) -> Iterator[Batch]:
        # If the store is on a device other than the CPU, nothing has to be prefetched.
        on_device = self.residency == "device" and self._device.type != "cpu"
        prepared = map(fetch, steps) if on_device else ahead(fetch, steps)
        good = (fetched for fetched in prepared if fetched is not None)
        with_labels = ((fetched.clips, [_labels(fetched.clips), *fetched.pixels]) for fetched in good)
        for clips, (labels, *pixels) in self._copier.ahead(with_labels):
            views = [clip.view for clip in clips]
            is_finished = self._device.type == "cpu"
            yield Batch(
                clip=pixels[0]
                if is_finished
                else finish(pixels, views, clip=self._clip, levels=self._levels),
                labels=labels,
                host_labels=tuple(clip.label for clip in clips),
                ids=tuple(clip.video.id for clip in clips),
                flips=tuple(view.is_mirrored for view in views),
            )


def _labels(clips: Sequence[_Planned]) -> Tensor:
    return torch.from_numpy(np.array([clip.label for clip in clips], np.int64))


def _of_view(video: Video, view: int, k: int) -> np.random.Generator:
    """Random generator of a fixed view; keyed by content, so that features can be stored by content."""
    return generator("view", video.digest, view, k)
