"""Kinetics (Kay et al. 2017, arXiv:1705.06950): annotation tables beside the clips.

    annotations/train.csv     label,youtube_id,time_start,time_end,split
                              air drumming,--6bJUbfpnQ,17,27,train
    train/--6bJUbfpnQ_000017_000027.mp4

The tables are in the root or in a folder whose name contains annotation, split, list or label. The clips are
anywhere below the root: in one folder, in one for each split, or in class folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vidcls.data.listing.disk import Disk, annotation_folders
from vidcls.data.listing.labels import label_problem, sorted_classes
from vidcls.data.listing.listing import SPLIT_NAMES, ListedVideo, Listing, Problem
from vidcls.data.listing.rows import has_columns, header_of, read_rows

_COLUMNS = ("youtube_id", "time_start", "time_end", "split")


def is_kinetics(root: Path) -> bool:
    """Whether `root` contains annotation tables of Kinetics."""
    return any(_tables(root))


def read_kinetics(root: Path) -> Listing:
    """List the clips in the annotation tables of `root`.

    Raises:
        UserError: If a table cannot be read.
    """
    disk = Disk(root)
    entries: list[ListedVideo] = []
    problems: list[Problem] = []
    for table in _tables(root):
        without_label = 0
        has_labels = "label" in header_of(table)
        for line, row in read_rows(table, _COLUMNS, problems):
            where = f"{table.relative_to(root).as_posix()}:{line}"
            name = _clip_name(row)
            if name is None:
                times = f"{row['time_start']!r} to {row['time_end']!r}"
                problems.append(
                    Problem(
                        "table", f"{where}: no clip has a name with {row['youtube_id']!r}, seconds {times}"
                    )
                )
            elif not has_labels:
                disk.leave(name)
                without_label += 1
            else:
                entry = _entry(row, name, disk, where=where)
                if isinstance(entry, ListedVideo):
                    entries.append(entry)
                else:
                    problems.append(entry)
        if without_label:
            problems.append(
                Problem(
                    "unlabelled",
                    f"{table.name}: {without_label} clips are not read, because the table has no column "
                    "label",
                )
            )
    problems += disk.problems(root, tables=_tables(root))
    classes = sorted_classes(entry.label for entry in entries)
    return Listing("kinetics", classes, tuple(entries), tuple(problems))


def _entry(row: Mapping[str, str], name: str, disk: Disk, *, where: str) -> ListedVideo | Problem:
    split = SPLIT_NAMES.get(row["split"].lower())
    if split is None:
        return Problem("split", f"{where}: split {row['split']!r} is not train, val or test")
    if (problem := label_problem(row["label"], where=where)) is not None:
        disk.leave(name)
        return problem
    path = disk.find(name, where=where, split=split)
    return path if isinstance(path, Problem) else ListedVideo(name, path, row["label"], split, None, where)


def _clip_name(row: Mapping[str, str]) -> str | None:
    """`youtube-id_000017_000027`: six digits of seconds each."""
    try:
        start, end = (int(float(row[column])) for column in ("time_start", "time_end"))
    except (ValueError, OverflowError):
        return None
    return f"{row['youtube_id']}_{start:06d}_{end:06d}" if row["youtube_id"] else None


def _tables(root: Path) -> list[Path]:
    return [
        table
        for folder in annotation_folders(root)
        for table in sorted(folder.glob("*.csv"))
        if table.is_file() and has_columns(table, _COLUMNS)
    ]
