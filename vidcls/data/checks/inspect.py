"""Inspects every frame of a file once, in order, for training and for the user.

Runs in worker processes, so it must not import torch. Statistics use the luma plane of the decoded frames; a
frame is converted to RGB only if decord may serve the file and must be compared.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from vidcls.data.checks.decord_proof import decord_probe, suits_decord
from vidcls.data.checks.frame_stats import Complaints, FrameStats, complaints_of_ffmpeg, first_of, luma_of
from vidcls.data.decoding.animation import is_animated_file
from vidcls.data.decoding.convert import has_alpha
from vidcls.data.decoding.decode import Probe, SeekPoints
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.flow import probe_fields
from vidcls.data.decoding.frame_folders import Files, look_into, number_of
from vidcls.data.decoding.headers import promises, riff_bytes
from vidcls.data.decoding.pictures import read_described
from vidcls.data.decoding.readers import VideoFile, decord_is_there, open_decord

_TS_PACKET_BYTES = (188, 192, 204)  # a transport stream has no header, but packets of one size


@dataclass(frozen=True)
class Inspection:
    """Result of decoding a whole file or folder of frames in order.

    Attributes:
        probe: Probe, with all that reading its frames needs.
        codec: FFmpeg's name of the codec; `images` or `fields` for a folder of frames or of flow fields.
        pixel_format: FFmpeg's name of the pixel format, such as `yuv420p`; empty for a folder.
        rotation: Anticlockwise rotation of frames in degrees, 0 to 359.
        is_mirrored: Whether frames are mirrored left to right before the rotation.
        remarks: Other conversions of its frames that the user should know.
        header_frames: Number of frames in the header; None if the header has none.
        header_duration_s: Duration in the header, in seconds; None if the header has none.
        duration_s: Seconds from the start of the first frame to the end of the last; None without timestamps.
        num_bad_stamps: Frames whose presentation timestamp is missing, or not after that of the one before.
        num_b_frames: Number of bidirectionally predicted frames.
        has_variable_rate: Whether frames have different durations; False if timestamps are missing.
        num_black: Number of frames that are black except for at most 2 % of their pixels.
        num_frozen: Number of frames with the same luma plane as the frame before.
        num_other_size: Number of frames whose size differs from the first.
        num_damaged: Number of frames that the codec flagged or complained of, and partly made up.
        complaint: First complaint of the codec.
        stopped: Reason why the file ended early; None if it did not.
        random_access: Whether decoding from its key frames was found to give every frame as in order; None
            if not tried, because it saves nothing or timestamps are missing.
    """

    probe: Probe
    codec: str
    pixel_format: str = ""
    rotation: int = 0
    is_mirrored: bool = False
    remarks: tuple[str, ...] = ()
    header_frames: int | None = None
    header_duration_s: float | None = None
    duration_s: float | None = None
    num_bad_stamps: int = 0
    num_b_frames: int = 0
    has_variable_rate: bool = False
    num_black: int = 0
    num_frozen: int = 0
    num_other_size: int = 0
    num_damaged: int = 0
    complaint: str | None = None
    stopped: str | None = None
    random_access: bool | None = None


def inspect_all(files: Files, decoder: Literal["decord", "pyav"]) -> Inspection:
    """Inspect everything that is read for a video: its frames, its flow fields, or both.

    Args:
        files: Files of the video.
        decoder: See `inspect`.

    Raises:
        DecodeError: As for `inspect`, or if frames and fields do not match.
        OSError: If a file cannot be read.
    """
    if files.frames is None:
        assert files.flows is not None, "a video is read from somewhere"
        return Inspection(probe=Probe(*probe_fields(files.flows), None, "fields"), codec="fields")
    seen = inspect(files.frames, decoder)
    if files.flows is None:
        return seen
    num_fields, *_ = probe_fields(files.flows)
    if seen.probe.decoder == "fields":
        raise DecodeError("has flow fields but no frames: set data.source=flows clip.modality=flow")
    if files.frames.is_dir():
        _refuse_odd_pairs(files.frames, files.flows)
    return replace(seen, probe=replace(seen.probe, num_fields=num_fields))


def _refuse_odd_pairs(frames: Path, flows: Path) -> None:
    """Refuse frames and flow fields if it is unclear which field starts at which frame."""
    pictures, fields = look_into(frames).frames, look_into(flows).fields
    if len(pictures) - len(fields) not in (0, 1):
        raise DecodeError(
            f"{len(pictures)} frames do not match {len(fields)} flow fields: expected as many fields as "
            "frames, or one less"
        )
    if frames == flows:
        for picture, field in zip(pictures, fields, strict=False):
            # In `flow_1_2.npy` the first number is the frame number, in `flow_x_00001.jpg` the last one.
            number = number_of(field[0].name)[0 if len(field) == 1 else -1]
            if number_of(picture.name)[-1:] != (number,):
                raise DecodeError(f"{picture.name} and {field[0].name} do not match: their numbers differ")


def inspect(path: Path, decoder: Literal["decord", "pyav"]) -> Inspection:
    """Decode a whole file or folder in order, and choose its decoder.

    Args:
        path: Video file, animated picture, or folder of frames.
        decoder: `decord` serves the file if it gives the same frames as PyAV, each compared, and the file has
            no feature that decord is known to read differently.

    Raises:
        DecodeError: If the file, or a part of it, cannot be decoded.
        OSError: If the file cannot be read.
    """
    if path.is_dir() or is_animated_file(path):
        return _inspect_pictures(path)
    reader = None
    if decoder == "decord" and decord_is_there() and suits_decord(path):
        with contextlib.suppress(DecodeError):
            reader = open_decord(path)
    # PyAV runs first: decord can hang on frames that are in the header but not in the file.
    watch = FrameStats()
    with complaints_of_ffmpeg() as complaints:
        try:
            inspection = _watched(path, watch, complaints)
        except DecodeError as error:
            said = watch.container_complaint or watch.complaint or first_of(complaints)
            raise DecodeError(f"{error.reason} ({said})" if said else error.reason, error.kind) from None
    is_plain = not (inspection.is_mirrored or watch.num_other_orientation or has_alpha(watch.pixel_format))
    if reader is not None and is_plain and len(reader) == watch.num_frames:
        found = decord_probe(path, reader, inspection.probe)
        if found is not None:
            return replace(inspection, probe=found[0], random_access=found[1])
    if seek_points := watch.seek_points():
        proven = _proves(path, seek_points, watch.sums)
        points = seek_points if proven else ()
        probe = replace(inspection.probe, seek_points=points)
        return replace(inspection, probe=probe, random_access=proven)
    return inspection


def _watched(path: Path, watch: FrameStats, complaints: Complaints) -> Inspection:
    with VideoFile.open(path) as video:
        for frame in video.frames():
            watch.see(frame)
            watch.hear(complaints, video, is_damaged=frame.is_corrupt)
        watch.hear(complaints, video, is_damaged=False)
        return _described(video, watch, path)


def _described(video: VideoFile, watch: FrameStats, path: Path) -> Inspection:
    if watch.num_frames == 0:
        raise DecodeError("has no frame that can be decoded")
    stream = video.stream
    height, width = watch.size[::-1] if watch.orientation.swaps_sides else watch.size
    with path.open("rb") as file:
        start = file.read(8)
    promised_frames, promised_s = promises(video.container, stream, start)
    rate = stream.average_rate
    return Inspection(
        probe=Probe(watch.num_frames, height, width, float(rate) if rate else None, "pyav"),
        codec=stream.codec_context.name,
        pixel_format=watch.pixel_format,
        rotation=90 * watch.orientation.quarter_turns,
        is_mirrored=watch.orientation.is_mirrored,
        remarks=tuple(_remarks(video, watch)),
        header_frames=promised_frames,
        header_duration_s=promised_s,
        duration_s=watch.num_ticks() * float(stream.time_base or 0) or None,
        num_bad_stamps=watch.num_bad_stamps(),
        num_b_frames=watch.num_b_frames,
        has_variable_rate=watch.has_variable_rate(),
        num_black=watch.num_black,
        num_frozen=watch.num_frozen,
        num_other_size=watch.num_other_size,
        num_damaged=watch.num_damaged,
        complaint=watch.complaint,
        stopped=video.stopped or watch.container_complaint or _missing_bytes(video, path, start),
    )


def _remarks(video: VideoFile, watch: FrameStats) -> Iterator[str]:
    """Remarks on conversions of the frames of a file that cannot be seen in them."""
    yield from video.remarks()
    if watch.num_other_orientation:
        yield f"{watch.num_other_orientation} frames are turned or mirrored in another way than the first "
        "frame"
    if watch.matrix_is_void:
        yield "its display matrix is all zeros, so frames are used as they are stored"
    if has_alpha(watch.pixel_format):
        alpha = f"has an alpha channel ({watch.pixel_format})"
        yield f"{alpha}: transparent parts become black, except in a fully transparent frame"


def _missing_bytes(video: VideoFile, path: Path, start: bytes) -> str | None:
    """Message about data that lies beyond the end of the file according to the container; else None."""
    size = path.stat().st_size
    if video.container.format.name == "mpegts" and all(size % unit for unit in _TS_PACKET_BYTES):
        return "its last packet is cut off"
    ends = [entry.pos + entry.size for entry in video.stream.index_entries[-1:]]
    if counted := riff_bytes(start):
        ends.append(8 + counted)
    missing = max(ends, default=0) - size
    return f"{missing} bytes that are listed in its index are missing" if missing > 0 else None


def _inspect_pictures(path: Path) -> Inspection:
    """Inspect every picture of a folder or of an animated file, or the flow fields of a folder."""
    if path.is_dir() and look_into(path).only_fields:
        return Inspection(probe=Probe(*probe_fields(path), None, "fields"), codec="fields")
    watch = FrameStats()
    said: Counter[str] = Counter()
    for load in read_described(path):  # load every picture: any may be broken
        pixels, what_was_done = load()
        said.update(what_was_done)
        watch.see_luma(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8))
    if watch.num_frames == 0:
        raise DecodeError("contains no image")
    return Inspection(
        probe=Probe(watch.num_frames, *watch.size, None, "images"),
        codec="images",
        num_black=watch.num_black,
        num_frozen=watch.num_frozen,
        num_other_size=watch.num_other_size,
        remarks=tuple(f"{count} of {watch.num_frames} pictures: {what}" for what, count in said.items()),
    )


def _proves(path: Path, points: SeekPoints, sums: Sequence[int]) -> bool:
    """Whether the frames after a seek to each of `points` are the same as when decoding in order."""
    behind = [*(index for index, _ in points[1:]), len(sums)]
    try:
        with VideoFile.open(path) as video:
            for (first, stamp), end in zip(points, behind, strict=True):
                frames = video.frames_from(stamp)
                if any(int(cv2.sumElems(luma_of(next(frames)))[0]) != sums[k] for k in range(first, end)):
                    return False
    except (DecodeError, StopIteration):
        return False
    return True
