"""What every layout hands over, and the tools that layouts share."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vidcls.data.decoding.frame_folders import Files
from vidcls.data.layouts.files import counted, find_videos, without_video_suffix
from vidcls.errors import UserError
from vidcls.spec.sections import Split

Kind = Literal[
    "missing",  # in the table, not on disk
    "empty",  # a file of 0 bytes, a folder without frames
    "unreadable",  # on disk, but it cannot be opened
    "doubly_listed",  # one video in two rows
    "label",  # no class, or names and ids that disagree
    "split",  # not train, val or test
    "table",  # a row that cannot be read
    "one_class",
    "no_train",
    "no_val",
    "extra",  # on disk, not in the table
    "same_content",  # two files, the same bytes
    "unlisted",  # beside the videos of a CSV, which may list what it likes
    "class_without_videos",
    "val_cut",
    "left_out",  # a picture beside frames that is none of them
    "not_a_video",  # a file that is no video
    "flow",  # how flow is read
]
LEFT_OUT_BY_SKIP: frozenset[Kind] = frozenset({"missing", "empty", "unreadable"})
_WARNINGS: frozenset[Kind] = frozenset({"extra", "same_content"})
_NOTES: frozenset[Kind] = frozenset(
    {"unlisted", "class_without_videos", "val_cut", "left_out", "not_a_video", "flow"}
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

    kind: Kind
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
class Entry:
    """One video as its layout lists it.

    Attributes:
        id: Readable key.
        path: Where it should be: a file or a folder of frames. It may not be there.
        label: Name of its class.
        split: The part of the data it belongs to.
        group: The source it was cut from, if that is known.
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
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()


def group_of(name: str, label: str) -> str | None:
    """Group of a video by its file name, as data sets name what they cut from one source; else None.

    * UCF101 `v_Class_gXX_cYY` and UCF11 `v_class_XX_YY`: `label/XX`. The label stands for the class because
      UCF101 itself spells HandstandPushups in two ways; the numbers count in each class anew.
    * HMDB51 `Title_class_f_nm_np1_fr_goo_0`: `source/Title`, a film or clip that classes may share.
    * Kinetics `-0123456789_000010_000020`: `source/` and the video on YouTube.
    """
    stem = without_video_suffix(name)
    if match := re.fullmatch(r"v_.+_(g?\d+)_c?\d+", stem):
        return f"{label}/{match[1]}"
    if match := re.fullmatch(r"(.+)_[fhlu]_(?:cm|nm)_np\d+_(?:ba|fr|le|ri)_(?:bad|goo|med)_\d+", stem):
        title = match[1]
        ending = f"_{label}".casefold()
        return f"source/{title[: -len(ending)] if title.casefold().endswith(ending) else title}"
    match = re.fullmatch(r"([\w-]{11})_\d{6}_\d{6}", stem)
    return f"source/{match[1]}" if match else None


def with_others(listing: Listing, others: Sequence[Path], *, root: Path) -> Listing:
    """The listing with a note on the files beside its videos that are none."""
    if not others:
        return listing
    note = Problem("not_a_video", counted(others, root=root))
    return replace(listing, problems=(*listing.problems, note))


class Disk:
    """The videos below a folder, looked up by the paths that a table writes.

    A path that is not there as written is looked for without regard to case and ending: tables and files
    disagree about the former (HandStandPushups), and files get re-encoded or cut into frames.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._others: list[Path] = []
        videos = find_videos(folder, others=self._others)
        self._found = {path.relative_to(folder).as_posix(): path for path in videos}
        self._loose: dict[str, list[str]] = defaultdict(list)
        for name in self._found:
            self._loose[without_video_suffix(name).casefold()].append(name)
        self._taken: set[str] = set()

    def take(self, written: str) -> Path:
        """The video meant by `written`; where there is none, the path at which it was expected."""
        candidates = self._loose.get(without_video_suffix(written).casefold(), [])
        name = written if written in self._found or len(candidates) != 1 else candidates[0]
        self._taken.add(name)
        return self._found.get(name, self.folder / written)

    def extras(self, root: Path) -> Iterator[Problem]:
        """A problem for each video that was never taken, named relative to `root`, and what is no video."""
        for name, path in self._found.items():
            if name not in self._taken:
                yield Problem("extra", f"{path.relative_to(root).as_posix()} is on disk but not listed")
        if self._others:
            yield Problem("not_a_video", counted(self._others, root=root))


class ClassIds:
    """Class names with the ids that a table gives them; the first row to name a pair is believed."""

    def __init__(self) -> None:
        self._id_of: dict[str, tuple[int, str]] = {}
        self._name_of: dict[int, tuple[str, str]] = {}

    def add(self, name: str, number: str, *, where: str) -> Problem | None:
        """Note that `where` calls class `name` by id `number`; a problem if the row cannot be used."""
        if not name:
            return Problem("label", f"{where}: no class name")
        if not re.fullmatch(r"[0-9]{1,9}", number):
            return Problem("label", f"{where}: label id {number!r} of class {name} is not a number from 0 up")
        known_id, id_where = self._id_of.get(name, (int(number), where))
        known_name, name_where = self._name_of.get(int(number), (name, where))
        if known_id != int(number):
            return Problem(
                "label", f"{where}: class {name} has id {number} here and {known_id} in {id_where}"
            )
        if known_name != name:
            return Problem(
                "label", f"{where}: id {number} is class {name} here, {known_name} in {name_where}"
            )
        self._id_of[name] = int(number), id_where
        self._name_of[int(number)] = name, name_where
        return None

    def ordered(self) -> tuple[str, ...]:
        """The class names by id. Ids need neither start at 0 nor be dense; their order counts."""
        return tuple(name for _, (name, _) in sorted(self._name_of.items()))


def sorted_classes(names: set[str]) -> tuple[str, ...]:
    """Class order where no table gives one: by name, or by number where all names are numbers."""
    if all(re.fullmatch(r"[0-9]+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and stripped cells of each row of a CSV with a header; absent cells are empty text.

    Raises:
        UserError: If the file is no CSV in UTF-8, or lacks one of `columns`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True, strict=True)
            header = [name.strip() for name in reader.fieldnames or ()]
            if absent := [name for name in columns if name not in header]:
                raise UserError(
                    f"{path}:1: no column {', '.join(absent)}; the columns are {', '.join(header) or 'none'}",
                    hint=f"the first line should be {','.join(columns)}",
                )
            reader.fieldnames = header
            for row in reader:
                # A row with too many cells has them under the key None.
                yield reader.line_num, {name: (row[name] or "").strip() for name in header}
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8: {error}") from None
