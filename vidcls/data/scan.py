"""Scans a data root: its manifest, the headers of its files, and all problems."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from vidcls.choices import SPLITS, Split
from vidcls.data.decoding.animation import is_animated_file
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.frame_folders import Files, look_into
from vidcls.data.decoding.headers import promises
from vidcls.data.decoding.pictures import read_as
from vidcls.data.decoding.readers import VideoFile
from vidcls.data.digests import Progress
from vidcls.data.manifest import Manifest, Problem, Video, read_manifest
from vidcls.data.sharing import shares_by
from vidcls.spec.data import DataSection


@dataclass(frozen=True)
class Header:
    """Header of a file, read without decoding; headers are not always correct.

    Attributes:
        height: Height in pixels, before any rotation.
        width: Width in pixels, before any rotation.
        num_frames: Number of frames in the header; None if it has none.
        fps: Frames per second; None for a folder of frames.
        duration_s: Duration in seconds; None if the header has none, and for a folder of frames.
        remarks: Remarks for the user on the conversion of its pictures.
    """

    height: int
    width: int
    num_frames: int | None
    fps: float | None
    duration_s: float | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Range:
    """Range of a value over all videos that have it."""

    min: float
    median: float
    max: float
    num_distinct: int


@dataclass(frozen=True)
class Scan:
    """Result of scanning a data root.

    Attributes:
        manifest: Manifest of the usable videos: those that can be opened.
        headers: Header of each video that could be opened, by id.
        problems: Problems of the manifest, and files that cannot be opened.
    """

    manifest: Manifest
    headers: Mapping[str, Header]
    problems: tuple[Problem, ...]

    @property
    def is_fine(self) -> bool:
        """Whether there are only notes to report."""
        return all(problem.note for problem in self.problems)

    def counts(self) -> dict[str, dict[Split, int]]:
        """Number of videos of each class in each split."""
        count = Counter((video.label, video.split) for video in self.manifest.videos)
        return {
            name: {split: count[label, split] for split in SPLITS}
            for label, name in enumerate(self.manifest.classes)
        }

    def num_groups(self) -> int:
        """Number of known groups."""
        return len(_groups(self.manifest.videos))

    def num_sharing_train(self) -> dict[Split, tuple[int, int]]:
        """For val and test: number of videos that share a group with train, and number of all videos."""
        return shares_by(self.manifest, lambda video: () if video.group is None else (video.group,))

    def sizes(self) -> dict[str, int]:
        """Number of videos of each size, `WIDTHxHEIGHT`, most frequent first."""
        sizes = Counter(f"{header.width}x{header.height}" for header in self.headers.values())
        return dict(sizes.most_common())

    def ranges(self) -> dict[str, Range]:
        """Ranges of `duration_s`, `fps` and `num_frames`, each if any header has it."""
        named: dict[str, list[float | None]] = {
            "duration_s": [header.duration_s for header in self.headers.values()],
            "fps": [header.fps for header in self.headers.values()],
            "num_frames": [header.num_frames for header in self.headers.values()],
        }
        return {name: found for name, values in named.items() if (found := _range(values)) is not None}

    def as_dict(self) -> dict[str, Any]:
        """All results as plain values for JSON."""
        return {
            "root": str(self.manifest.root),
            "layout": self.manifest.layout,
            "manifest_hash": self.manifest.hash,
            "num_videos": len(self.manifest.videos),
            "classes": list(self.manifest.classes),
            "counts": self.counts(),
            "val_is_cut": self.manifest.val_is_cut,
            "num_groups": self.num_groups(),
            "num_sharing_train": {
                split: {"shared": shared, "videos": total}
                for split, (shared, total) in self.num_sharing_train().items()
            },
            "sizes": self.sizes(),
            **{name: asdict(found) for name, found in self.ranges().items()},
            "problems": [
                {"kind": problem.kind, "message": problem.message, "fatal": problem.fatal}
                for problem in self.problems
            ],
        }


def scan(section: DataSection, *, cache_dir: Path | None = None, progress: Progress | None = None) -> Scan:
    """Read the manifest and every header of the data of `section`.

    Args:
        section: Data section; a data set of the user has no headers.
        cache_dir: Folder of the cache of digests; None for no cache.
        progress: Called with (done, total); a video counts once for its digest and once for its header.

    Raises:
        UserError: If the root is unusable as a whole, or a setting has no effect there.
    """
    manifest = read_manifest(
        section, cache_dir=cache_dir, progress=progress and (lambda done, total: progress(done, 2 * total))
    )
    if section.target is not None:
        return Scan(manifest, headers={}, problems=manifest.problems)
    videos = manifest.videos
    headers: dict[str, Header] = {}
    problems = list(manifest.problems)
    with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as pool:
        results = pool.map(try_header, [video.files for video in videos])
        for done, (video, result) in enumerate(zip(videos, results, strict=True), start=1):
            if isinstance(result, Header):
                headers[video.id] = result
            else:
                problems.append(Problem("unreadable", f"{video.id}: {video.path} {result}"))
            if progress is not None:
                progress(len(videos) + done, 2 * len(videos))
    problems += _remarks(headers)
    opened = tuple(video for video in videos if video.id in headers)
    return Scan(manifest=replace(manifest, videos=opened), headers=headers, problems=tuple(problems))


def read_header(path: Path) -> Header:
    """Header of a video file; for a folder of frames or fields, their number and the size of the first.

    Raises:
        DecodeError: If the file cannot be decoded as a video.
        OSError: If the file cannot be opened (includes errors of Pillow).
        ValueError: If NumPy cannot read a flow field.
    """
    if path.is_dir():
        found = look_into(path)
        if (problem := found.problem(of_fields=False)) is not None:
            raise DecodeError(problem)
        if found.only_fields:
            return _header_of_fields(found.fields)
        if not found.frames:
            raise DecodeError("contains no image")
        return _header_of_pictures(found.frames[0], num_frames=len(found.frames))
    if is_animated_file(path):
        return _header_of_pictures(path)
    with path.open("rb") as file:
        start = file.read(8)
    with VideoFile.open(path) as video:
        stream = video.stream
        if not stream.width or not stream.height:
            raise DecodeError("has a video stream without a size")
        num_frames, duration_s = promises(video.container, stream, start)
        return Header(
            height=stream.height,
            width=stream.width,
            num_frames=num_frames,
            fps=float(stream.average_rate) if stream.average_rate else None,
            duration_s=duration_s,
            remarks=tuple(video.remarks()),
        )


def _header_of_pictures(path: Path, *, num_frames: int | None = None) -> Header:
    """Header of an animated picture, or of the first picture of a folder of `num_frames` pictures."""
    with Image.open(path) as image:
        *_, remarks = read_as(image, path.name)
        num_frames = num_frames or getattr(image, "n_frames", 1)
        return Header(image.height, image.width, num_frames, fps=None, duration_s=None, remarks=remarks)


def _header_of_fields(fields: Sequence[Sequence[Path]]) -> Header:
    first = fields[0]
    if len(first) > 1:
        with Image.open(first[0]) as image:
            return Header(image.height, image.width, num_frames=len(fields), fps=None, duration_s=None)
    shape = np.load(first[0], mmap_mode="r").shape
    return Header(shape[1], shape[2], num_frames=len(fields), fps=None, duration_s=None)


def try_header(files: Files) -> Header | str:
    """Header of a video, or the reason why it cannot be opened."""
    try:
        if files.frames is None:
            assert files.flows is not None, "a video is read from somewhere"
            return _header_of_fields(look_into(files.flows).fields)
        return read_header(files.frames)
    except DecodeError as error:
        return error.reason
    except (OSError, ValueError) as error:
        return f"cannot be opened: {getattr(error, 'strerror', None) or error}"


def _remarks(headers: Mapping[str, Header]) -> Iterator[Problem]:
    """Note for each kind of conversion of pictures, with the affected videos."""
    said: dict[str, list[str]] = defaultdict(list)
    for name, header in headers.items():
        for remark in header.remarks:
            said[remark].append(name)
    for remark, names in said.items():
        several = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield Problem("read_as", f"{names[0]}{several}: {remark}")


def _groups(videos: Iterable[Video]) -> set[str]:
    return {video.group for video in videos if video.group is not None}


def _range(values: Sequence[float | None]) -> Range | None:
    known = [round(value, 3) for value in values if value is not None]
    if not known:
        return None
    return Range(min(known), float(median(known)), max(known), len(set(known)))
