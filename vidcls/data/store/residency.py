"""Residency: the location of decoded clips while a model reads them; every residency gives the same bytes.

`device`    The store is on the computing device: no copy per batch. `auto` takes it on CUDA if the store fits
            into half of the free device memory.
`mapped`    The store's files are mapped read-only: as fast as memory once read, shared by all processes of a
            machine, released by the kernel if memory is short. `auto` takes it otherwise.
`memory`    The store is copied into the process. Only on request: useful if the store is on a network disk
            and other jobs push it out of the page cache.
`streamed`  There is no store: worker processes decode each clip again when it is needed. `auto` takes it if
            the store does not fit on the disk.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import torch
from torch import Tensor

from vidcls.choices import Residency
from vidcls.data.decoding.decode import Form, Probe
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.data.manifest import Video
from vidcls.data.modality import stores_frames_too
from vidcls.data.sampling import Indices
from vidcls.data.store.build import Store
from vidcls.data.store.index import StoredVideo, decode_as
from vidcls.errors import VidclsError
from vidcls.spec.sections import Clip

_MEMORY_SHARE = 0.5

ClipFrames = Sequence[Tensor]
"""T decoded frames `[h, w, C]` uint8, of one size, or 2 T for differences; may share memory with the store,
so they must not be written to."""


class FrameSource(Protocol):
    """Source of the frames of a video."""

    def request(self, video: Video, frame_indices: Indices) -> Callable[[], ClipFrames | Failure]:
        """Start to fetch the frames; the returned function waits for them."""
        ...


class StoredFrames:
    """Reads a published store.

    Args:
        store: Store to read.
        residency: `device`, `memory` or `mapped`.
        device: Device for the residency `device`.
        progress: Called in the stage `load`.

    Raises:
        VidclsError: If `memory` was requested and there is too little memory.
    """

    def __init__(
        self, store: Store, *, residency: Residency, device: torch.device, progress: StageProgress | None
    ) -> None:
        available = psutil.virtual_memory().available
        if residency == "memory" and store.num_bytes > available:
            raise VidclsError(
                f"store: needs {store.num_bytes / 1e9:.2f} GB memory, {available / 1e9:.2f} GB are free",
                hint="set data.residency=mapped, which is equally fast after the first epoch",
            )
        self._entries = store.entries
        self._shards: list[Tensor] = []
        for number in range(len(store.shard_bytes)):
            shard = _open_shard(store.shard(number), mapped=residency != "memory")
            self._shards.append(shard.to(device) if residency == "device" else shard)
            if progress is not None and residency != "mapped":
                progress("load", number + 1, len(store.shard_bytes))

    def request(self, video: Video, frame_indices: Indices) -> Callable[[], ClipFrames]:
        """Return the frames as views of the store; there is no wait."""
        entry = self._entries[video.digest]
        stored = self._shards[entry.shard][entry.offset : entry.offset + entry.num_bytes]
        frames = stored.view(entry.num_frames, entry.height, entry.width, entry.num_channels)
        return lambda: [frames[slot] for slot in _slots(entry, frame_indices)]


class Streamed:
    """Decodes the frames of each request in a worker process.

    Args:
        probes: Probe of each video, by digest.
        clip: Clip section, which defines the form and the scale of a frame.
        decoders: Worker processes that decode.
    """

    def __init__(self, *, probes: Mapping[str, Probe], clip: Clip, decoders: Decoders) -> None:
        self._probes = probes
        self._form = Form(clip.fit, clip.size)
        self._flow = clip.flow_method
        self._with_frames = stores_frames_too(clip)
        self._decoders = decoders

    def request(self, video: Video, frame_indices: Indices) -> Callable[[], ClipFrames | Failure]:
        """Start to decode; the returned function waits for the worker."""
        probe = self._probes[video.digest]
        size = self._form.scaled(probe.height, probe.width)
        needed, places = np.unique(frame_indices, return_inverse=True)
        future = self._decoders.submit(
            decode_as,
            video.files,
            needed.tolist(),
            size=size,
            probe=probe,
            flow=self._flow,
            with_frames=self._with_frames,
        )

        def frames() -> ClipFrames | Failure:
            outcome = self._decoders.outcome(future)
            if isinstance(outcome, Failure):
                return outcome
            decoded = torch.from_numpy(outcome)
            return [decoded[place] for place in places]

        return frames


def choose_stored(store: Store, device: torch.device) -> Residency:
    """Residency that `auto` takes for a store that fits on the disk."""
    return "device" if fits_device(store.num_bytes, device) else "mapped"


def fits_device(num_bytes: int, device: torch.device) -> bool:
    """Whether data fits into half of the memory that this process can still get on a CUDA device."""
    if device.type != "cuda":
        return False
    free, total = torch.cuda.mem_get_info(device)
    # Less than the whole if trials share the device; the call takes a number, None for the current device.
    allowed = total * torch.cuda.get_per_process_memory_fraction(device.index)
    return num_bytes <= min(free, allowed) * _MEMORY_SHARE


def _slots(entry: StoredVideo, frame_indices: Indices) -> list[int]:
    if entry.frame_indices is None:
        slots: list[int] = frame_indices.tolist()
    else:
        slots = np.searchsorted(entry.frame_indices, frame_indices).tolist()
    return slots


def _open_shard(path: Path, *, mapped: bool) -> Tensor:
    if not mapped:
        return torch.from_numpy(np.fromfile(path, dtype=np.uint8))
    with warnings.catch_warnings():
        # torch has no read-only tensors and warns about them; nothing writes to the frames.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="r"))
