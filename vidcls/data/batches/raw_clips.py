"""Clips as bytes, before they are normalised: the input of an exported model. Imports no torch.

A clip has the frames and the window of the deterministic view for evaluation, decoded by worker processes as
for `data.residency: streamed`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidcls.choices import FlowMethod
from vidcls.data.batches.window import Window, eval_window
from vidcls.data.checks.probe import probe_files
from vidcls.data.decoding.decode import Form, Probe
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.data.manifest import Video
from vidcls.data.modality import (
    frames_each,
    needed_frames,
    num_moments,
    stored_channels,
    stores_frames_too,
    unfit,
)
from vidcls.data.sampling import Indices, frame_indices
from vidcls.data.store.index import decode_as
from vidcls.process.cores import usable_cores
from vidcls.spec.data import DataSection
from vidcls.spec.sections import Clip

_AHEAD = 2
"""Clips of each worker that wait for their turn."""


@dataclass(frozen=True)
class _Request:
    files: Files
    frame_indices: Indices
    size: tuple[int, int]
    window: Window
    probe: Probe
    flow: FlowMethod | None
    with_frames: bool


def raw_shape(clip: Clip) -> tuple[int, int, int, int]:
    """Shape of a raw clip, `(N, H, W, C)`: N = T frames, or 2 T for differences; C bytes per pixel."""
    return (clip.frames * frames_each(clip), *clip.size, stored_channels(clip))


def raw_clips(
    videos: Sequence[Video],
    *,
    data: DataSection,
    clip: Clip,
    store_dir: Path,
    progress: StageProgress | None = None,
) -> Iterator[tuple[Video, Pixels | Failure]]:
    """Yield the raw clip of each video in order, `[N, H, W, C]` uint8, or the reason why it has none.

    Args:
        videos: Videos with digests.
        data: Data section with decoder, time limit and workers.
        clip: Clip section with modality, frames and size.
        store_dir: Folder of caches, in which the probes of files are found or stored.
        progress: Called in the stage `probe`.
    """
    workers = usable_cores() if data.workers == "auto" else data.workers
    with contextlib.closing(Decoders(workers=workers, timeout_s=data.timeout_s)) as decoders:
        files = {video.digest: video.files for video in videos}
        probes = probe_files(
            files, decoder=data.decoder, store_dir=store_dir, decoders=decoders, progress=progress
        )
        bad = {digest: failure for digest, probe in probes.items() if (failure := _failure(probe, clip))}
        calls = (
            (_request(video, probes[video.digest], clip),) for video in videos if video.digest not in bad
        )
        decoded = decoders.in_order(_decode, calls, ahead=_AHEAD * decoders.workers)
        for video in videos:
            yield video, bad[video.digest] if video.digest in bad else next(decoded)


def _failure(probe: Probe | Failure, clip: Clip) -> Failure | None:
    if isinstance(probe, Failure):
        return probe
    reason = unfit(probe, clip)
    return None if reason is None else Failure(reason, lasting=True)


def _request(video: Video, probe: Probe | Failure, clip: Clip) -> _Request:
    assert isinstance(probe, Probe), "bad videos are left out"
    size = Form(clip.fit, clip.size).scaled(probe.height, probe.width)
    return _Request(
        video.files,
        needed_frames(frame_indices(num_moments(probe, clip), clip), clip),
        size=size,
        window=eval_window(size, clip),
        probe=probe,
        flow=clip.flow_method,
        with_frames=stores_frames_too(clip),
    )


def _decode(request: _Request) -> Pixels:
    """Decode a clip; runs in a worker process."""
    needed, places = np.unique(request.frame_indices, return_inverse=True)
    frames = decode_as(
        request.files,
        needed.tolist(),
        size=request.size,
        probe=request.probe,
        flow=request.flow,
        with_frames=request.with_frames,
    )
    top, left, height, width = request.window
    return np.ascontiguousarray(frames[places, top : top + height, left : left + width])
