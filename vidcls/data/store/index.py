"""Index of a store: stored frames and position of each video; it follows from the probes and the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidcls.choices import FlowMethod
from vidcls.data.decoding.decode import Form, Probe, decode
from vidcls.data.decoding.flow import compute_fields, read_fields
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.modality import (
    frames_before,
    has_difference,
    num_moments,
    num_stored,
    stored_channels,
    stores_frames_too,
)
from vidcls.data.sampling import reachable_frames
from vidcls.spec.sections import Clip

_FLOW_CHANNELS = 2
_SHARD_VIDEOS = 64
_SHARD_BYTES = 256 * 2**20


@dataclass(frozen=True)
class StoredVideo:
    """Index entry of one video.

    Attributes:
        shard: Number of the shard.
        offset: Offset of the first byte in the shard.
        height: Height of each stored frame, in pixels.
        width: Width of each stored frame, in pixels.
        num_channels: Bytes per pixel.
        num_frames: Number of stored frames.
        frame_indices: Sorted indices of the stored frames in the video; None for all frames.
    """

    shard: int
    offset: int
    height: int
    width: int
    num_channels: int
    num_frames: int
    frame_indices: tuple[int, ...] | None

    @property
    def num_bytes(self) -> int:
        """Size of the stored frames in bytes."""
        return self.num_frames * self.height * self.width * self.num_channels


def choice(clip: Clip) -> str:
    """Name of the rule that selects the stored frames; equal names mean equal frames."""
    with_frames = " with their frames" if stores_frames_too(clip) else ""
    if clip.sampling != "uniform":
        return f"all{with_frames}"
    later = " and the next ones" if has_difference(clip) else ""
    return f"uniform {clip.frames}{later}{with_frames}"


def lay_out(probes: Mapping[str, Probe], clip: Clip) -> dict[str, StoredVideo]:
    """Index entry of each video, by digest, in the order of `probes`."""
    form = Form(clip.fit, clip.size)
    entries: dict[str, StoredVideo] = {}
    shard, offset, num_videos = 0, 0, 0
    for digest, probe in probes.items():
        if num_videos == _SHARD_VIDEOS or offset >= _SHARD_BYTES:
            shard, offset, num_videos = shard + 1, 0, 0
        moments = num_moments(probe, clip)
        frames = reachable_frames(moments, clip)
        chosen = None if len(frames) == num_stored(probe, clip) else tuple(frames.tolist())
        height, width = form.scaled(probe.height, probe.width)
        entry = StoredVideo(shard, offset, height, width, stored_channels(clip), len(frames), chosen)
        entries[digest] = entry
        offset, num_videos = offset + entry.num_bytes, num_videos + 1
    return entries


def decode_stored(files: Files, entry: StoredVideo, probe: Probe, flow: FlowMethod | None) -> bytes:
    """Decode the bytes of one entry; runs in a worker process."""
    size = (entry.height, entry.width)
    with_frames = flow is not None and entry.num_channels > _FLOW_CHANNELS
    pixels = decode_as(files, entry.frame_indices, size=size, probe=probe, flow=flow, with_frames=with_frames)
    return pixels.tobytes()


def decode_as(
    files: Files,
    frame_indices: Sequence[int] | None,
    *,
    size: tuple[int, int],
    probe: Probe,
    flow: FlowMethod | None,
    with_frames: bool,
) -> Pixels:
    """Decode the stored form of a file, `[n, H, W, C]`: frames, flow, or both; runs in a worker process.

    Args:
        files: Files of the video.
        frame_indices: Indices of frames or fields; None for all.
        size: Height and width of the result.
        probe: Probe of the file.
        flow: Flow method if no fields are read; None gives frames.
        with_frames: Include the frame before each field: red, green, blue, u, v.

    Raises:
        DecodeError: If a frame or field is missing or cannot be decoded.
    """
    if files.frames is None or probe.decoder == "fields":
        folder = files.flows or files.frames
        assert folder is not None, "a video is read from somewhere"
        return read_fields(folder, frame_indices, size=size)
    path = files.frames
    if flow is not None:
        if files.flows is not None:
            fields = read_fields(files.flows, frame_indices, size=size)
        else:
            fields = compute_fields(path, frame_indices, size=size, probe=probe, method=flow)
        if not with_frames:
            return fields
        indices: Sequence[int] = range(len(fields)) if frame_indices is None else frame_indices
        if files.flows is not None:
            indices = frames_before(indices, probe)
        frames = decode(path, indices, size=size, decoder=probe.decoder, seek_points=probe.seek_points)
        return np.concatenate([frames, fields], axis=-1)
    return decode(path, frame_indices, size=size, decoder=probe.decoder, seek_points=probe.seek_points)
