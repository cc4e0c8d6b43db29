"""Videos and manifests: the same for every layout, and for data sets of users."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from vidcls.choices import Split
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.layouts.table import ManifestRow, write_table
from vidcls.data.listing.listing import LEFT_OUT_BY_SKIP, Problem


@dataclass(frozen=True)
class Item:
    """Item of a data set of the user.

    Attributes:
        split: Split with which the data set is made; None if it has no splits.
        index: Index in that data set.
    """

    split: Split | None
    index: int

    def __str__(self) -> str:
        """`train[3]`, or `item 3`."""
        return f"item {self.index}" if self.split is None else f"{self.split}[{self.index}]"


@dataclass(frozen=True)
class Video:
    """One video.

    Attributes:
        id: Unique readable key, independent of the location of the data.
        path: Video file, or folder of frames.
        label: Index into the classes of the manifest.
        split: Split of the video.
        group: Source from which it was cut, if known.
        digest: Digest of its content.
        flows: Folder of its flow fields, if `data.source` reads them.
        has_frames: Whether `path` is read; False if only flow fields are read, or `item` gives the clip.
        item: Item of a user's data set that gives its clip; then `path` is the file of that code.
    """

    id: str
    path: Path
    label: int
    split: Split
    group: str | None
    digest: str
    flows: Path | None = None
    has_frames: bool = True
    item: Item | None = None

    @property
    def files(self) -> Files:
        """Files from which the video is read."""
        return Files(self.path if self.has_frames else None, self.flows)


@dataclass(frozen=True)
class Manifest:
    """Videos of a data root, or of a data set of the user.

    Attributes:
        root: Folder or CSV from which the manifest was read, or target of the data set.
        layout: Name of the layout; `dataset` for a data set of the user.
        classes: Class names; the index is the label.
        videos: Usable videos, sorted by id.
        problems: Problems that the user should know, including videos that were left out.
        val_is_cut: Whether val was cut from train because the data has no val.
        joined: Ids of val videos that became train videos.
    """

    root: Path
    layout: str
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    problems: tuple[Problem, ...]
    val_is_cut: bool
    joined: frozenset[str] = frozenset()

    @property
    def num_left_out(self) -> int:
        """Number of listed videos that are missing, empty or cannot be read."""
        return sum(problem.kind in LEFT_OUT_BY_SKIP for problem in self.problems)

    @property
    def num_classes(self) -> int:
        """Number of classes (K)."""
        return len(self.classes)

    def split(self, name: Split) -> tuple[Video, ...]:
        """Videos of one split, sorted by id."""
        return tuple(video for video in self.videos if video.split == name)

    @property
    def training(self) -> tuple[Video, ...]:
        """Videos that training and search read, in one store: train, then val, never test."""
        return (*self.split("train"), *self.split("val"))

    def with_val_joined(self) -> Manifest:
        """Manifest in which val videos are train videos; its hash is the same, since the data is."""
        joined = frozenset(video.id for video in self.videos if video.split == "val")
        videos = (replace(v, split="train") if v.id in joined else v for v in self.videos)
        return replace(self, videos=tuple(videos), joined=joined)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the classes and each video's id, label, split, group and digest, not its path.

        Test items of a user's data set are not in it, because only an evaluation makes them; the digests of
        the others stand for the code and its arguments.
        """
        rows = [
            [video.id, video.label, self._split_before(video), video.group, video.digest]
            for video in self.videos
            if video.item is None or video.split != "test"
        ]
        return hashlib.sha256(json.dumps([self.classes, rows]).encode()).hexdigest()

    def _split_before(self, video: Video) -> Split:
        return "val" if video.id in self.joined else video.split

    def state_on_disk(self) -> tuple[tuple[int, int, int] | None, ...]:
        """State of the root, of the files of all videos and of their folders; None for what is missing.

        It costs a look at each file, and differs once a video is added, removed or replaced.
        """
        paths = [path for video in self.videos for path in (video.path, video.flows) if path is not None]
        return tuple(map(_state, [self.root, *dict.fromkeys(path.parent for path in paths), *paths]))

    def write_csv(self, path: Path) -> None:
        """Write a CSV manifest that reads back to the same videos, labels, splits and groups.

        Raises:
            OSError: If the file cannot be written.
            UserError: If a name cannot be stored unchanged in a CSV in UTF-8.
        """
        rows = [
            ManifestRow(
                video.path,
                self.classes[video.label],
                video.split,
                video.group or "",
                video.label,
                video.flows,
            )
            for video in self.videos
        ]
        write_table(path, rows)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
