"""Proof that decord reads a file as PyAV does. Runs in worker processes, so it must not import torch."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.readers import VideoFile, read_decord, seek_decord

AGREE_LEVELS = 2
"""Grey levels by which decoders may differ, since they round in different orders."""

_CONTAINERS = {"mp4", "matroska", "avi"}  # recognised by their first bytes in every release of FFmpeg


def suits_decord(path: Path) -> bool:
    """Whether PyAV accepts a file, in a container that every FFmpeg recognises, with one video stream."""
    try:
        with VideoFile.open(path) as video:
            is_known = not _CONTAINERS.isdisjoint(video.container.format.name.split(","))
            return is_known and len(video.container.streams.video) == 1
    except DecodeError:
        return False


def decord_probe(path: Path, reader: Any, probe: Probe) -> tuple[Probe, bool | None] | None:
    """Probe with which decord serves a file; None if it does not give the frames of PyAV.

    Args:
        path: Video file.
        reader: `decord.VideoReader` at its first frame, with as many frames as `probe` says.
        probe: Probe of PyAV.

    Returns:
        The probe, with seek points if random access gives the same frames too, byte by byte; and whether it
        does, None if there is one key frame only.
    """
    try:
        sums = _agreeing_sums(path, reader)
        if sums is None:
            return None
        keys = sorted({0, *map(int, reader.get_key_indices())})
        does_seek = _seeks(reader, keys, sums) if len(keys) > 1 else None
    except DecodeError:
        return None
    points = tuple((key, 0) for key in keys) if does_seek else ()
    return replace(probe, decoder="decord", seek_points=points), does_seek


def _agreeing_sums(path: Path, reader: Any) -> list[int] | None:
    """Checksum of each frame of decord in order; None if a frame is not that of PyAV."""
    sums = []
    with VideoFile.open(path) as video:
        for frame, load in zip(video.frames(), read_decord(reader), strict=True):
            theirs, ours = load(), video.rgb(frame)
            if theirs.shape != ours.shape or int(cv2.absdiff(theirs, ours).max()) > AGREE_LEVELS:
                return None
            sums.append(zlib.crc32(theirs.tobytes()))
    return sums


def _seeks(reader: Any, keys: Sequence[int], sums: Sequence[int]) -> bool:
    """Whether the frames after a seek to each key frame are those that decord gave in order."""
    behind = [*keys[1:], len(sums)]
    # From the last part to the first, since decord does not seek to where it stands.
    for first, end in reversed(list(zip(keys, behind, strict=True))):
        for index in range(first, end):
            if zlib.crc32(seek_decord(reader, index).tobytes()) != sums[index]:
                return False
    return True
