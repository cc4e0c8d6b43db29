"""Descriptors of many videos: computed in worker processes, cached by content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidcls.data.checks.probe import probe_files
from vidcls.data.decoding.decode import Probe, decode
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.data.manifest import Video
from vidcls.files import atomic_file, disk_full, is_disk_full
from vidcls.leaks.descriptors import PARTS, VERSION, describe_file, spread

Descriptors = NDArray[np.float16]
_AHEAD = 32
_EVERY = 2  # a network gets every second of the frames: it costs more and extracts more from each


@dataclass(frozen=True)
class Network:
    """Frozen network that describes frames.

    Attributes:
        name: Name of the network and its weights, and of its cache folder.
        size: Height and width in pixels of its input frames.
        num_features: Number of features F.
        embed: Function from frames `[n, H, W, 3]` uint8 to features `[n, F]`.
    """

    name: str
    size: tuple[int, int]
    num_features: int
    embed: Callable[[Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class Looks:
    """Visual descriptors of the videos of a manifest.

    Attributes:
        descriptors: `[2, n, D]` for each video, by digest: of its frames, and of its mirrored frames.
        parts: Lengths of the parts of a descriptor; they add up to D.
        probes: Probe of each of these videos, by digest.
        failures: Reason why another video could not be read, by digest.
    """

    descriptors: Mapping[str, Descriptors]
    parts: tuple[int, ...]
    probes: Mapping[str, Probe]
    failures: Mapping[str, Failure]


def look_at(
    videos: Sequence[Video],
    *,
    store_dir: Path,
    decoders: Decoders,
    network: Network | None = None,
    progress: StageProgress | None = None,
) -> Looks:
    """Compute the descriptors of videos, once for each content.

    Args:
        videos: Videos to describe.
        store_dir: Folder of stores and caches.
        decoders: Worker processes for all work but the network, which runs in this process.
        network: Network for additional descriptors; None for none.
        progress: Called in the stages `probe`, `look` and `look with` the network.

    Raises:
        VidclsError: If the disk is full.
    """
    probes, failures = probe_all(videos, store_dir=store_dir, decoders=decoders, progress=progress)
    paths = {video.digest: video.path for video in videos if video.digest in probes}
    work = _Work(paths, probes, failures, store_dir / "descriptors", decoders, progress)
    described = work.do(f"pixels-v{VERSION}", "look", describe_file, _frame_indices)
    parts: tuple[int, ...] = PARTS
    if network is not None:
        seen = work.do(
            f"{network.name}-v{VERSION}",
            f"look with {network.name}",
            partial(_decode, size=network.size),
            lambda probe: _frame_indices(probe)[::_EVERY],
            finish=partial(_embed, network=network),
        )
        parts = (*parts, network.num_features)
        described = {
            digest: np.concatenate([described[digest][:, ::_EVERY], features], axis=2)
            for digest, features in seen.items()
            if digest in described
        }
    return Looks(described, parts, probes, failures)


def probe_all(
    videos: Sequence[Video],
    *,
    store_dir: Path,
    decoders: Decoders,
    progress: StageProgress | None = None,
) -> tuple[dict[str, Probe], dict[str, Failure]]:
    """Probe of each readable video, and the failure of each bad one, by digest."""
    outcomes = probe_files(
        {video.digest: video.files for video in videos},
        decoder="pyav",
        store_dir=store_dir,
        decoders=decoders,
        progress=progress,
    )
    good = {digest: outcome for digest, outcome in outcomes.items() if isinstance(outcome, Probe)}
    return good, {digest: outcome for digest, outcome in outcomes.items() if isinstance(outcome, Failure)}


@dataclass(frozen=True)
class _Work:
    """Describes files, each content once; unreadable files are added to `failures`."""

    paths: Mapping[str, Path]
    probes: Mapping[str, Probe]
    failures: dict[str, Failure]
    folder: Path
    decoders: Decoders
    progress: StageProgress | None

    def do(
        self,
        name: str,
        stage: str,
        function: Callable[..., NDArray[Any]],
        indices: Callable[[Probe], list[int]],
        finish: Callable[[NDArray[Any]], Descriptors] | None = None,
    ) -> dict[str, Descriptors]:
        """Descriptors by digest, cached under `name`: `function` runs in a worker, then `finish` here."""
        found: dict[str, Descriptors] = {}
        for digest in self.paths:
            if (known := _read(self.folder / name / digest[:2] / f"{digest}.npy")) is not None:
                found[digest] = known
        missing = [digest for digest in self.paths if digest not in found]
        calls = (
            (self.paths[digest], indices(self.probes[digest]), self.probes[digest]) for digest in missing
        )
        outcomes = self.decoders.in_order(function, calls, ahead=_AHEAD)
        for done, (digest, outcome) in enumerate(zip(missing, outcomes, strict=True), start=1):
            if isinstance(outcome, Failure):
                self.failures[digest] = outcome
            else:
                found[digest] = finish(outcome) if finish is not None else outcome
                _write(self.folder / name / digest[:2] / f"{digest}.npy", found[digest])
            if self.progress is not None:
                self.progress(stage, done, len(missing))
        return found


def _frame_indices(probe: Probe) -> list[int]:
    return spread(probe.num_frames)


def _decode(path: Path, frame_indices: list[int], probe: Probe, *, size: tuple[int, int]) -> Pixels:
    return decode(path, frame_indices, size=size, decoder=probe.decoder, seek_points=probe.seek_points)


def _embed(frames: Pixels, *, network: Network) -> Descriptors:
    # Networks for photographs hardly distinguish a picture from its mirror image: one pass serves both.
    features = network.embed(frames)
    return np.stack([features, features]).astype(np.float16)


def _read(path: Path) -> Descriptors | None:
    try:
        found: Descriptors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found


def _write(path: Path, descriptors: Descriptors) -> None:
    try:
        with atomic_file(path, sync=False) as file:  # if the file is lost, it is computed again
            np.save(file, descriptors, allow_pickle=False)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(
                path, kept="descriptors that were computed before are kept", cause=error
            ) from error
        raise
