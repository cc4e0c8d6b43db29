"""What a store holds of each video, and where in it: all of it follows from the probes and the spec alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
from vidcls.spec.sections import Clip, FlowMethod

_FLOW_CHANNELS = 2
_SHARD_VIDEOS = 64
_SHARD_BYTES = 256 * 2**20


@dataclass(frozen=True)
class StoredVideo:
    """Where the frames of one video lie.

    Attributes:
        shard: Number of the shard.
        offset: First byte within it.
        height: Height of each stored frame, in pixels.
        width: Width of each stored frame, in pixels.
        num_channels: Bytes a pixel.
        num_frames: Number of stored frames.
        frame_indices: Which frames of the video they are, sorted; None is all.
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
        """Size of the stored frames."""
        return self.num_frames * self.height * self.width * self.num_channels


def choice(clip: Clip) -> str:
    """Names the rule by which frames are stored; equal names, equal frames."""
    with_frames = " with their frames" if stores_frames_too(clip) else ""
    if clip.sampling != "uniform":
        return f"all{with_frames}"
    later = " and the next ones" if has_difference(clip) else ""
    return f"uniform {clip.frames}{later}{with_frames}"


def lay_out(probes: Mapping[str, Probe], clip: Clip) -> dict[str, StoredVideo]:
    """The entry of each video, by digest, in the order of `probes`."""
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
    """The bytes of one entry; runs in a worker process."""
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
    """What a store holds of a file, `[n, H, W, C]`: frames, flow fields, or both; runs in a worker process.

    Args:
        files: Where the video is read from.
        frame_indices: Which of them; None is all.
        size: Height and width to give.
        probe: Probe of the file.
        flow: How flow is computed where no fields are read; None gives frames.
        with_frames: Give the frame before each field: red, green, blue, u, v.

    Raises:
        DecodeError: If one cannot be decoded or is not there.
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
