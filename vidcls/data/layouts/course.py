"""The course layout: `metadata/{train,val,test}.csv` with `videos/` and `frames/`, either or both.

    metadata/train.csv                       video_name,video_path,action,label
    videos/{split}/{video_path}              video_path is {action}/{video_name}.avi
    frames/{split}/{action}/{video_name}/    frame_1.jpg, frame_2.jpg, ...

Label ids come from the tables: they are not in alphabetic order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vidcls.data.layouts.listing import ClassIds, Disk, Entry, Listing, Problem, group_of, read_rows
from vidcls.errors import UserError
from vidcls.spec.sections import SPLITS

_COLUMNS = ("video_name", "video_path", "action", "label")


def is_course(root: Path) -> bool:
    """Whether `root` holds a table of the course."""
    return any((root / "metadata" / f"{split}.csv").is_file() for split in SPLITS)


def read_course(root: Path, *, source: Literal["auto", "videos", "frames"]) -> Listing:
    """List a course root, reading `source`; `auto` takes videos where there are both.

    Raises:
        UserError: If the folder that `source` names is not there, or a table cannot be read.
    """
    kind = _source(root, source)
    disk = Disk(root / kind)
    ids = ClassIds()
    entries: list[Entry] = []
    problems: list[Problem] = []
    for split in SPLITS:
        table = root / "metadata" / f"{split}.csv"
        if not table.is_file():
            continue
        for line, row in read_rows(table, _COLUMNS):
            where = f"metadata/{split}.csv:{line}"
            name, action = row["video_name"], row["action"]
            written = row["video_path"].lstrip("/") if kind == "videos" else f"{action}/{name}"
            if not name or not written:
                problems.append(Problem("table", f"{where}: no video_name or no video_path"))
                continue
            path = disk.take(f"{split}/{written}")
            problem = ids.add(action, row["label"], where=where)
            if problem is not None:
                problems.append(problem)
                continue
            group = group_of(name, action)
            entries.append(Entry(id=name, path=path, label=action, split=split, group=group, where=where))
    problems += disk.extras(root)
    return Listing(f"course ({kind})", ids.ordered(), tuple(entries), tuple(problems))


def _source(root: Path, source: str) -> Literal["videos", "frames"]:
    there = [kind for kind in ("videos", "frames") if (root / kind).is_dir()]
    if not there:
        raise UserError(f"data.root: {root} has metadata/ but neither videos/ nor frames/")
    if source not in ("auto", *there):
        raise UserError(
            f"data.source: {source}, but {root} has only {there[0]}/",
            hint=f"data.source={there[0]}, or leave it out",
        )
    return "videos" if source != "frames" and "videos" in there else "frames"
