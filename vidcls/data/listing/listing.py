"""Listing: the result of every layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vidcls.choices import Split
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.listing.files import counted

ProblemKind = Literal[
    "missing",  # in the table, but not on disk
    "empty",  # a file of 0 bytes, a folder without frames
    "unreadable",  # on disk, but it cannot be opened
    "doubly_listed",  # one video in two rows
    "label",  # no class, or names and ids that disagree
    "split",  # not train, val or test
    "table",  # a row that cannot be read
    "two_files",  # several files match one row
    "one_class",
    "no_train",
    "no_val",
    "extra",  # on disk, but not in the table
    "same_content",  # two files with the same bytes
    "alike_labels",  # class names that differ only in case, blanks or Unicode form
    "group_doubted",  # a group from file names that is doubtful and not used
    "unlabelled",  # listed without a label, as in test splits of challenges
    "spelling",  # a path with another case or suffix than on disk
    "unused",  # videos that belong to no split of the data set
    "not_read",  # another list that is not read
    "unlisted",  # beside the videos of a CSV, which may be intended
    "class_without_videos",
    "val_cut",
    "read_as",  # conversion of the pictures of a video
    "left_out",  # a picture beside frames that is not a frame
    "not_a_video",  # a file that is not a video
    "flow",  # how flow is read
]
LEFT_OUT_BY_SKIP: frozenset[ProblemKind] = frozenset({"missing", "empty", "unreadable"})
_WARNINGS: frozenset[ProblemKind] = frozenset(
    {"extra", "same_content", "alike_labels", "group_doubted", "unlabelled"}
)
_NOTES: frozenset[ProblemKind] = frozenset(
    {
        "spelling",
        "unused",
        "not_read",
        "unlisted",
        "class_without_videos",
        "val_cut",
        "read_as",
        "left_out",
        "not_a_video",
        "flow",
    }
)

# Split names in data sets, compared without regard to case.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Problem:
    """Problem with the data that the user should know; the message names the file."""

    kind: ProblemKind
    message: str

    @property
    def fatal(self) -> bool:
        """Whether the problem prevents training (`bad_videos: skip` allows some kinds)."""
        return self.kind not in _WARNINGS | _NOTES

    @property
    def note(self) -> bool:
        """Whether this is only a note on how the data was read."""
        return self.kind in _NOTES

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class ListedVideo:
    """Video as listed by its layout.

    Attributes:
        id: Readable key.
        path: Expected file or folder of frames, which may be missing.
        label: Name of its class.
        split: Split of the video.
        group: Source from which it was cut, if the layout gives it; file names are evaluated later.
        where: Position of the entry for messages: `file:line` or its own path.
        flows: Folder of its flow fields, if they are read.
        has_frames: Whether `path` is read; False if only flow fields are read.
    """

    id: str
    path: Path
    label: str
    split: Split
    group: str | None
    where: str
    flows: Path | None = None
    has_frames: bool = True

    @property
    def files(self) -> Files:
        """Files from which the video is read."""
        return Files(self.path if self.has_frames else None, self.flows)


@dataclass(frozen=True)
class Listing:
    """Result of a layout: its name, the classes in label order, the videos and the problems."""

    layout: str
    classes: tuple[str, ...]
    entries: tuple[ListedVideo, ...]
    problems: tuple[Problem, ...] = ()


def with_others(listing: Listing, others: Sequence[Path], *, root: Path) -> Listing:
    """Listing with a note on the files beside its videos that are not videos."""
    if not others:
        return listing
    note = Problem("not_a_video", counted(others, root=root))
    return replace(listing, problems=(*listing.problems, note))
