"""What every layout hands over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vidcls.data.decoding.frame_folders import Files
from vidcls.data.listing.files import counted
from vidcls.spec.sections import Split

ProblemKind = Literal[
    "missing",  # in the table, not on disk
    "empty",  # a file of 0 bytes, a folder without frames
    "unreadable",  # on disk, but it cannot be opened
    "doubly_listed",  # one video in two rows
    "label",  # no class, or names and ids that disagree
    "split",  # not train, val or test
    "table",  # a row that cannot be read
    "two_files",  # one row that several files fit
    "one_class",
    "no_train",
    "no_val",
    "extra",  # on disk, not in the table
    "same_content",  # two files, the same bytes
    "alike_labels",  # class names that differ only in case, blanks or Unicode form
    "group_doubted",  # a group told by file names, which is not believed
    "unlabelled",  # listed without a label, as test splits of challenges are
    "spelling",  # a path in another case or ending than on disk
    "unused",  # videos that the data set itself uses in no split
    "not_read",  # a list beside the one that is read
    "unlisted",  # beside the videos of a CSV, which may list what it likes
    "class_without_videos",
    "val_cut",
    "read_as",  # what is done to the pictures of a video
    "left_out",  # a picture beside frames that is none of them
    "not_a_video",  # a file that is no video
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

# What data sets call their splits, in any case of letters.
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
    """Something about the data that a person should know; the message names the file."""

    kind: ProblemKind
    message: str

    @property
    def fatal(self) -> bool:
        """Whether it prevents training (`bad_videos: skip` forgives some kinds)."""
        return self.kind not in _WARNINGS | _NOTES

    @property
    def note(self) -> bool:
        """Whether nothing is wrong: it only says how the data was read."""
        return self.kind in _NOTES

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class ListedVideo:
    """One video as its layout lists it.

    Attributes:
        id: Readable key.
        path: Where it should be: a file or a folder of frames. It may not be there.
        label: Name of its class.
        split: The part of the data it belongs to.
        group: The source it was cut from, if the layout itself tells it; file names are asked afterwards.
        where: What lists it, `file:line` or its own path: for messages.
        flows: The folder of its flow fields, where these are read.
        has_frames: Whether `path` is read; False where flow fields alone are.
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
        """Where it is read from."""
        return Files(self.path if self.has_frames else None, self.flows)


@dataclass(frozen=True)
class Listing:
    """All that a layout says: its name, the classes in label order, the videos, what is wrong."""

    layout: str
    classes: tuple[str, ...]
    entries: tuple[ListedVideo, ...]
    problems: tuple[Problem, ...] = ()


def with_others(listing: Listing, others: Sequence[Path], *, root: Path) -> Listing:
    """The listing with a note on the files beside its videos that are none."""
    if not others:
        return listing
    note = Problem("not_a_video", counted(others, root=root))
    return replace(listing, problems=(*listing.problems, note))
