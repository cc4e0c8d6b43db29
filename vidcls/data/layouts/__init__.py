"""Detects the layout of a data root from its files and reads it as a `Listing`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from vidcls.choices import Layout, Source
from vidcls.data.layouts.course import is_course, read_course
from vidcls.data.layouts.flow_folders import with_flows
from vidcls.data.layouts.folders import (
    folders_like_splits,
    is_class_folders,
    is_split_folders,
    read_class_folders,
    read_split_folders,
)
from vidcls.data.layouts.hmdb51 import is_hmdb51, read_hmdb51
from vidcls.data.layouts.kinetics import is_kinetics, read_kinetics
from vidcls.data.layouts.lists import has_split_numbers, is_lists, read_lists
from vidcls.data.layouts.ssv2 import is_ssv2, read_ssv2
from vidcls.data.layouts.table import COLUMNS, read_table
from vidcls.data.layouts.ucf101 import is_ucf101, read_ucf101
from vidcls.data.listing.files import counted, find_videos
from vidcls.data.listing.groups import with_groups
from vidcls.data.listing.labels import alike_labels
from vidcls.data.listing.listing import Listing, Problem, with_others
from vidcls.data.listing.rows import has_columns
from vidcls.errors import UserError, did_you_mean
from vidcls.spec.yaml import in_short
from vidcls.user_code.find import is_target

# Form of each layout; VIDEO is a video file or a folder of images.
_LOOKS: dict[Layout, str] = {
    "csv": "a CSV file with the columns path,label[,split][,group]: data.root=FILE.csv",
    "course": "metadata/{train,val,test}.csv with videos/, frames/ or flows/",
    "ucf101": "classInd.txt with trainlist01.txt and testlist01.txt, in this folder or in ucfTrainTestlist/",
    "hmdb51": "CLASS_test_split1.txt, in this folder or in a folder for lists",
    "kinetics": "*.csv with the columns label,youtube_id,time_start,time_end,split",
    "ssv2": "train.json, validation.json, ... with id and template",
    "lists": "train*.txt, val*.txt, ... with lines `path label`",
    "split/class/video": "{train,val,test}/CLASS/VIDEO",
    "class/video": "CLASS/VIDEO",
}

_LONGEST_PATH = 500
"""Maximum number of characters of a path that a message shows in full."""
_NO_ROOT = "set data.root=FOLDER, or make the demo data: vidcls data demo data/motion10"

# Layouts with their own label files; a folder with those of two layouts is not read without a choice.
_TELLTALES: dict[Layout, Callable[[Path], bool]] = {
    "course": is_course,
    "ucf101": is_ucf101,
    "hmdb51": is_hmdb51,
    "kinetics": is_kinetics,
    "ssv2": is_ssv2,
}


class UnknownLayoutError(UserError):
    """The root exists, but its layout with classes and splits is unknown."""


def read_layout(
    root: Path, *, layout: Layout = "auto", source: Source = "auto", split_number: int | None = None
) -> Listing:
    """Detect the layout of `root` and list its videos.

    Raises:
        UserError: If there is no data, no known layout, more than one possible layout, or a setting that has
            no effect in this layout.
    """
    try:
        refuse_missing_root(root)
        listing = _read_layout(root, layout, source=source, split_number=split_number)
        entries, doubts = with_groups(listing.entries)
        alike = alike_labels(listing.classes, entries)
        problems = (*listing.problems, *alike, *doubts)
        listing = replace(listing, entries=tuple(entries), problems=problems)
        is_course = listing.layout.startswith("course")
        return listing if is_course else with_flows(listing, root=root, source=source)
    except OSError as error:
        place = in_short(str(error.filename or root), longest=_LONGEST_PATH)
        raise UserError(f"data.root: cannot read {place}: {error.strerror}") from error


def refuse_missing_root(root: Path) -> None:
    """Refuse a missing data root, and suggest similar paths.

    Raises:
        UserError: If the root does not exist.
    """
    if not root.exists() and is_target(str(root)):
        raise UserError(
            f"data.root: {root} is no path, but looks like a data set of your own",
            hint=f"`vidcls data scan {root}` lists it, `vidcls data doctor {root}` tries it; a spec takes it "
            f"as data.target={root}",
        )
    if not root.exists():
        raise UserError(f"data.root: {root} does not exist{_nearby(root)}", hint=_NO_ROOT)


def _nearby(root: Path) -> str:
    names = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
    meant = did_you_mean(root.name, names, shown=lambda name: str(root.with_name(name)))
    return meant and f"; {meant}"


def _read_layout(root: Path, layout: Layout, *, source: Source, split_number: int | None) -> Listing:
    if layout == "auto":
        kind = _file_layout(root) if root.is_file() else _folder_layout(root)
    else:
        kind = layout
        _refuse_absent(root, layout)
    has_numbers = kind in ("ucf101", "hmdb51") or (kind == "lists" and has_split_numbers(root))
    if split_number is not None and not has_numbers:
        raise UserError(
            f"data.split_number: {split_number} has no effect here, because only the lists of UCF101 and "
            "HMDB51, and lists named split_1, have numbers",
            hint="leave data.split_number out",
        )
    match kind:
        case "course":
            return read_course(root, source=source)
        case "ucf101":
            return read_ucf101(root, split_number=split_number or 1)
        case "hmdb51":
            return read_hmdb51(root, split_number=split_number or 1)
        case "kinetics":
            return read_kinetics(root)
        case "ssv2":
            return read_ssv2(root)
        case "lists":
            return read_lists(root, split_number=split_number)
        case "csv":
            return read_table(root)
        case "split/class/video":
            return _read_folders(root, read_split_folders)
        case "class/video":
            return _read_folders(root, read_class_folders)
        case "auto":
            raise AssertionError(kind)
        case _:
            assert_never(kind)


def _read_folders(root: Path, read: Callable[[Path, Sequence[Path]], Listing]) -> Listing:
    others: list[Path] = []
    listing = read(root, _videos(root, others))
    listing = with_others(listing, others, root=root)
    return replace(listing, problems=(*listing.problems, *_tables_beside(root)))


def _file_layout(root: Path) -> Layout:
    """Layout of a root that is a file: a table or a list."""
    if has_columns(root, COLUMNS):
        return "csv"
    if is_lists(root):
        return "lists"
    if root.suffix.lower() in (".csv", ".tsv"):
        return "csv"  # its reader reports the problem
    raise _unknown(root)


def _folder_layout(root: Path) -> Layout:
    fitting = [layout for layout, fits in _TELLTALES.items() if fits(root)]
    if len(fitting) > 1:
        raise UserError(
            f"data.root: {root} has the files of {len(fitting)} layouts: {' and '.join(fitting)}",
            hint=" or ".join(f"data.layout={layout}" for layout in fitting),
        )
    if fitting:
        return fitting[0]
    if is_lists(root):
        return "lists"
    videos = _videos(root)
    if is_split_folders(videos):
        _refuse_two_readings(root, videos, layout="split/class/video")
        return "split/class/video"
    if is_class_folders(videos):
        _refuse_two_readings(root, videos, layout="class/video")
        return "class/video"
    raise _unknown(root)


def _unknown(root: Path) -> UnknownLayoutError:
    looked_for = "\n".join(f"    {looks} ({layout})" for layout, looks in _LOOKS.items())
    return UnknownLayoutError(
        f"data.root: {root} has no known layout: looked for\n{looked_for}\n"
        f"  where VIDEO is a video file or a folder of images\n  found {_found(root)}",
        hint=" or ".join(f"data.root={table}" for table in _tables(root)[:3]) or None,
    )


def _refuse_absent(root: Path, layout: Layout) -> None:
    """Refuse a requested layout that is not found."""
    if layout == "csv":
        fits = root.is_file()
    elif layout == "lists":
        fits = is_lists(root)
    elif layout in _TELLTALES:
        fits = root.is_dir() and _TELLTALES[layout](root)
    else:
        parts = layout.count("/") + 1
        fits = root.is_dir() and any(len(video.parts) == parts for video in _videos(root))
    if not fits:
        raise UserError(
            f"data.layout: {layout}, but {root} does not have this layout: {_LOOKS[layout]}",
            hint="leave data.layout out",
        )


def _refuse_two_readings(root: Path, videos: list[Path], *, layout: Layout) -> None:
    folders = folders_like_splits(videos, layout=layout)
    if not folders:
        return
    raise UnknownLayoutError(
        f"data.root: {root}: {', '.join(f'{folder}/' for folder in folders)} may be splits, with videos "
        f"that have no class, or may be classes (example: {videos[0].as_posix()})",
        hint="if they are splits, write a table with the columns path,label,split and set "
        f"data.root=FILE.csv, or put the label files of the data set into {root}; if they are classes, "
        f"set data.layout={layout}",
    )


def _tables_beside(root: Path) -> Iterator[Problem]:
    """Note for each table in a root whose folders were read, since the table may contradict them."""
    for table in _tables(root):
        yield Problem(
            "not_read", f"{table.name} also lists videos, but is not used; set data.root={table} to use it"
        )
    if (root / "classInd.txt").is_file():
        yield Problem(
            "not_read",
            "classInd.txt is not used, because there are no train and test lists; classes are sorted by name",
        )


def _tables(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    tables = (path for path in sorted(root.iterdir()) if path.suffix.lower() in (".csv", ".tsv"))
    return [path for path in tables if path.is_file() and has_columns(path, COLUMNS)]


def _videos(root: Path, others: list[Path] | None = None) -> list[Path]:
    return [path.relative_to(root) for path in find_videos(root, others=others)]


def _found(root: Path) -> str:
    if not root.is_dir():
        return f"a file ending in {root.suffix or 'nothing'}"
    others: list[Path] = []
    videos = _videos(root, others)
    names = sorted(path.name for path in root.iterdir())
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    depths = Counter(len(path.parts) for path in videos)
    where = "; ".join(f"{count} videos at depth {depth}" for depth, count in sorted(depths.items()))
    example = f", such as {videos[0].as_posix()}" if videos else ""
    if not names:
        return "nothing"
    rest = f"; {counted(others, root=root)}" if others else ""
    return f"{len(names)} entries ({shown}); {where or 'no videos'}{example}{rest}"
