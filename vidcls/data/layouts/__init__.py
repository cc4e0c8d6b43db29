"""Layouts are found by looking; each becomes the same `Listing`."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from pathlib import Path

from vidcls.data.layouts.course import is_course, read_course
from vidcls.data.layouts.files import counted, find_videos
from vidcls.data.layouts.flow_folders import with_flows
from vidcls.data.layouts.folders import (
    is_class_folders,
    is_split_folders,
    read_class_folders,
    read_split_folders,
)
from vidcls.data.layouts.listing import Listing, with_others
from vidcls.data.layouts.table import read_table
from vidcls.data.layouts.ucf101 import is_ucf101, read_ucf101
from vidcls.errors import UserError
from vidcls.spec.sections import Source

_LOOKED_FOR = """looked for
    a CSV file with the columns path,label,split[,group]
    metadata/{train,val,test}.csv with videos/, frames/ or flows/ (the course)
    classInd.txt, here or in ucfTrainTestlist/ (official UCF101 lists)
    {train,val,test}/CLASS/VIDEO
    CLASS/VIDEO
  where VIDEO is a video file or a folder of images"""


_NO_ROOT = "set data.root=FOLDER, or make the demo data: vidcls data demo data/motion10"


class UnknownLayoutError(UserError):
    """The root is there, but nothing says which classes and splits its videos have."""


def read_layout(root: Path, *, source: Source = "auto", split_number: int | None = None) -> Listing:
    """Look at `root`, decide which layout it is, and list its videos.

    Raises:
        UserError: If there is no data, no known layout, or a setting that has no effect in this layout.
    """
    try:
        listing = _read_layout(root, source=source, split_number=split_number)
        if root.is_dir() and is_course(root):
            return listing
        return with_flows(listing, root=root, source=source)
    except OSError as error:
        raise UserError(f"data.root: cannot read {error.filename or root}: {error.strerror}") from error


def _nearby(root: Path) -> str:
    names = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
    near = get_close_matches(root.name, names, n=1)
    return f"; did you mean {root.with_name(near[0])}?" if near else ""


def _read_layout(root: Path, *, source: Source, split_number: int | None) -> Listing:
    if not root.exists():
        raise UserError(f"data.root: {root} does not exist{_nearby(root)}", hint=_NO_ROOT)
    if root.is_dir() and is_course(root):
        _refuse(split_number=split_number)
        return read_course(root, source=source)
    if root.is_dir() and is_ucf101(root):
        return read_ucf101(root, split_number=split_number or 1)
    _refuse(split_number=split_number)
    if root.suffix.lower() == ".csv" and root.is_file():
        return read_table(root)
    others: list[Path] = []
    videos = [path.relative_to(root) for path in find_videos(root, others=others)] if root.is_dir() else []
    if is_split_folders(videos):
        return with_others(read_split_folders(root, videos), others, root=root)
    if is_class_folders(videos):
        return with_others(read_class_folders(root, videos), others, root=root)
    raise UnknownLayoutError(
        f"data.root: {root} is no layout known here: {_LOOKED_FOR}\n  found {_found(root, videos, others)}"
    )


def _refuse(*, split_number: int | None) -> None:
    if split_number is not None:
        raise UserError(
            f"data.split_number: {split_number} has no effect here: only official UCF101 lists have numbers",
            hint="leave data.split_number out",
        )


def _found(root: Path, videos: list[Path], others: list[Path]) -> str:
    if not root.is_dir():
        return f"a file ending in {root.suffix or 'nothing'}"
    names = sorted(path.name for path in root.iterdir())
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    depths = Counter(len(path.parts) for path in videos)
    where = "; ".join(f"{count} videos at depth {depth}" for depth, count in sorted(depths.items()))
    example = f", such as {videos[0].as_posix()}" if videos else ""
    if not names:
        return "nothing"
    rest = f"; {counted(others, root=root)}" if others else ""
    return f"{len(names)} entries ({shown}); {where or 'no video at all'}{example}{rest}"
