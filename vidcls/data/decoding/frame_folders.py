"""Content of a folder of pictures or flow fields: frames of one video, its flow, and other pictures.

    frame_1.jpg, frame_2.jpg, ...                        frames, in the order of their numbers
    flow_1_2.npy, flow_2_3.npy, ...                      the course: one field (2, H, W) of floats per file
    img_00001.jpg, flow_x_00001.jpg, flow_y_00001.jpg    TSN and mmaction: a frame, u and v of its flow

All frames of a folder have one name pattern: equal except for the numbers, with one suffix. Pictures with
another name are reported and never used as frames. If it is unclear which pictures are the frames, nothing is
read. Runs in worker processes, so it must not import torch.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_FIELD = re.compile(r"flow_([0-9]+)_([0-9]+)\.npy")
_COMPONENT = re.compile(r"(.*flow_)([xy])(_?[0-9]+\.\w+)")
_COLOUR_WHEEL = re.compile(r"flow_[0-9]+_[0-9]+\.\w+")
_NUMBER = re.compile(r"[0-9]+")


class Files(NamedTuple):
    """Files from which a video is read.

    Attributes:
        frames: Video file or folder of frames; None if only flow fields are read. A folder with flow fields
            and no pictures means these fields.
        flows: Folder of its flow fields; None if flow is computed, or not needed.
    """

    frames: Path | None
    flows: Path | None = None


@dataclass(frozen=True)
class FrameFolder:
    """Content of a folder, sorted by kind.

    Attributes:
        frames: Pictures of a video in order.
        fields: Files of each flow field in order: one with both components, or one for u and one for v.
        others: Names of other pictures.
        frames_problem: Reason why it is unclear which pictures are the frames; None if it is clear.
        fields_problem: Reason why the flow fields cannot be used; None if they can, or if there are none.
    """

    frames: tuple[Path, ...]
    fields: tuple[tuple[Path, ...], ...]
    others: tuple[str, ...] = ()
    frames_problem: str | None = None
    fields_problem: str | None = None

    def problem(self, *, of_fields: bool) -> str | None:
        """Reason why the frames, or the flow fields, cannot be read; None if they can."""
        return self.fields_problem if of_fields or self.only_fields else self.frames_problem

    @property
    def only_fields(self) -> bool:
        """Whether the folder holds flow fields and no frames."""
        return bool(self.fields) and not self.frames and self.frames_problem is None


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key with which `frame_2` comes before `frame_10`; the name itself breaks ties (`01`, `1`)."""
    runs = (run for run in re.split(r"([0-9]+)", name) if run)
    key = tuple((0, int(run), "") if run[0] in "0123456789" else (1, 0, run) for run in runs)
    return (*key, (-1, 0, name))


def is_image_file(name: str) -> bool:
    """Whether a name is that of an image: a known suffix, and not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def is_flow_file(name: str) -> bool:
    """Whether a name is that of a flow field of the course: `flow_1_2.npy`."""
    return _FIELD.fullmatch(name) is not None


def is_frame_file(name: str) -> bool:
    """Whether a name is that of a file in a folder of frames or flow fields."""
    return is_image_file(name) or is_flow_file(name)


def look_into(folder: Path) -> FrameFolder:
    """Sort the pictures and flow fields directly in `folder`.

    Raises:
        OSError: If the folder cannot be read.
    """
    names = [entry.name for entry in os.scandir(folder) if is_frame_file(entry.name) and entry.is_file()]
    names.sort(key=natural_key)
    stored = [name for name in names if is_flow_file(name)]
    pictures = [name for name in names if not is_flow_file(name)]
    components = [name for name in pictures if _COMPONENT.fullmatch(name)]
    frames, others, frames_problem = _frames([name for name in pictures if name not in set(components)])
    fields: list[tuple[str, ...]] = [(name,) for name in stored]
    fields_problem = None
    if stored and components:
        fields_problem = f"contains flow in two forms: {stored[0]} and {components[0]}; keep only one form"
    elif stored:
        wheels = [name for name in pictures if _COLOUR_WHEEL.fullmatch(name)]
        beside = (
            f"contains other pictures together with its flow fields, such as {wheels[0]}" if wheels else None
        )
        fields_problem = beside or _gap(stored)
        frames_problem = beside or frames_problem
    elif components:
        fields, fields_problem = _pairs(components)
    return FrameFolder(
        frames=tuple(folder / name for name in frames),
        fields=tuple(tuple(folder / name for name in each) for each in fields),
        others=tuple(others),
        frames_problem=frames_problem,
        fields_problem=fields_problem,
    )


def number_of(name: str) -> tuple[int, ...]:
    """Numbers in the name of a frame; `img_00012.jpg` gives (12,)."""
    return tuple(int(run) for run in _NUMBER.findall(Path(name).stem))


def _pattern(name: str) -> str:
    path = Path(name)
    return _NUMBER.sub("#", path.stem) + path.suffix.lower()


def _frames(names: Sequence[str]) -> tuple[list[str], list[str], str | None]:
    """Names of frames, names of other pictures, and the reason if it is unclear which are the frames."""
    by_pattern: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_pattern[_pattern(name)].append(name)
    series = [pattern for pattern, found in by_pattern.items() if len(found) > 1] or list(by_pattern)
    if not series:
        return [], [], None
    if len(series) > 1:
        return [], [], _unclear(by_pattern, series)
    frames = by_pattern[series[0]]
    seen: dict[tuple[int, ...], str] = {}
    for name in frames:
        first = seen.setdefault(number_of(name), name)
        if first != name:
            return [], [], f"contains {first} and {name}, two pictures with the same number; keep one"
    return frames, [name for name in names if _pattern(name) != series[0]], None


def _unclear(by_pattern: Mapping[str, Sequence[str]], series: Sequence[str]) -> str:
    if all(len(by_pattern[pattern]) == 1 for pattern in series):
        names = [by_pattern[pattern][0] for pattern in series]
        return (
            f"contains pictures whose names do not show their order: {', '.join(names[:3])}"
            f"{', ...' if len(names) > 3 else ''}; number them as frame_1.jpg, frame_2.jpg"
        )
    counted = " and ".join(f"{pattern} ({len(by_pattern[pattern])} files)" for pattern in series[:4])
    return f"contains more than one series of pictures, {counted}; put each video into a folder of its own"


def _gap(stored: Sequence[str]) -> str | None:
    """Message about a missing field of the course; None if there is no gap."""
    number = None
    for name in stored:
        match = _FIELD.fullmatch(name)
        assert match is not None, "is_flow_file was asked"
        first, second = int(match[1]), int(match[2])
        expected = min(first, 1) if number is None else number  # the course counts from 1, other data from 0
        if second != first + 1 or first != expected:
            return f"flow_{expected}_{expected + 1}.npy is missing: found {name} there"
        number = second
    return None


def _pairs(names: Sequence[str]) -> tuple[list[tuple[str, ...]], str | None]:
    """Pictures of u and v, paired by their numbers, and the problem with them, if any."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        match = _COMPONENT.fullmatch(name)
        assert match is not None, "they were chosen by it"
        found[f"{match[1]}*{match[3]}"][match[2]] = name
    pairs: list[tuple[str, ...]] = []
    before: tuple[int, ...] | None = None
    for joined, both in sorted(found.items(), key=lambda item: natural_key(item[0])):
        pairs.append(tuple(both[axis] for axis in sorted(both)))
        if len(both) < 2:
            (there,) = both
            other = joined.replace("*", "y" if there == "x" else "x")
            return pairs, f"contains {both[there]} without {other}"
        number = number_of(joined)
        if before is not None and number != (*before[:-1], before[-1] + 1):
            return pairs, f"flow picture {before[-1] + 1} is missing: found {both['x']} there"
        before = number
    return pairs, None


def frame_files(folder: Path) -> tuple[Path, ...]:
    """Frames of a folder in order, or the files of its flow fields if it has no pictures.

    Raises:
        OSError: If the folder cannot be read.
    """
    found = look_into(folder)
    return found.frames or tuple(file for field in found.fields for file in field)
