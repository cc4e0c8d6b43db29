"""A CSV manifest `path,label,split[,group][,label_id]`. Paths are relative to the CSV.

`label` is the name of the class. `label_id` settles the order of the classes where that is not the sorted
order of their names; `vidcls data scan --write-manifest` writes it so that labels survive.
"""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcls.data.layouts.files import find_videos
from vidcls.data.layouts.listing import (
    SPLIT_NAMES,
    ClassIds,
    Entry,
    Listing,
    Problem,
    group_of,
    read_rows,
    sorted_classes,
)
from vidcls.errors import UserError
from vidcls.files import write_text
from vidcls.text import csv_path, from_spreadsheet_cell, is_unicode, printable, spreadsheet_cell

COLUMNS = ("path", "label", "split")
_MAX_SHOWN = 10


def read_table(path: Path) -> Listing:
    """List the videos of a CSV manifest.

    Raises:
        UserError: If the file is no CSV or lacks a column.
    """
    ids = ClassIds()
    entries: list[Entry] = []
    problems: list[Problem] = []
    has_ids = False
    for line, row in read_rows(path, COLUMNS):
        where = f"{path.name}:{line}"
        row |= {name: from_spreadsheet_cell(row[name]) for name in ("label", "group") if name in row}
        split = SPLIT_NAMES.get(row["split"].lower())
        has_ids = "label_id" in row
        problem = ids.add(row["label"], row["label_id"], where=where) if has_ids else None
        if not row["path"]:
            problem = Problem("table", f"{where}: no path")
        elif not row["label"]:
            problem = Problem("label", f"{where}: no label")
        elif split is None:
            problem = Problem("split", f"{where}: split {row['split']!r} is not train, val or test")
        if problem is not None or split is None:
            problems += [problem] if problem is not None else []
            continue
        video = path.parent / row["path"]
        group = row.get("group") or group_of(video.name, row["label"])
        entries.append(
            Entry(id=row["path"], path=video, label=row["label"], split=split, group=group, where=where)
        )
    classes = ids.ordered() if has_ids else sorted_classes({entry.label for entry in entries})
    return Listing("csv", classes, tuple(entries), (*problems, *_unlisted(entries)))


def _unlisted(entries: list[Entry]) -> Iterator[Problem]:
    # Only the folders that hold listed videos: the CSV may sit anywhere, beside other data too.
    listed: dict[Path, set[str]] = defaultdict(set)
    for entry in entries:
        listed[entry.path.parent].add(entry.path.name)
    for folder, names in sorted(listed.items()):
        if not folder.is_dir():
            continue
        others = [path.name for path in find_videos(folder, depth=1) if path.parent == folder]
        if absent := [name for name in others if name not in names]:
            shown = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
            yield Problem(
                "unlisted", f"{folder}: {len(absent)} of {len(others)} videos are not listed: {shown}"
            )


def write_table(path: Path, videos: Sequence[tuple[Path, str, str, str, int]]) -> None:
    """Write a CSV manifest, paths relative to it, and no cell so that a spreadsheet would run it.

    Args:
        path: The file.
        videos: Path, name of the class, split, group or empty text, and label of each.

    Raises:
        OSError: If the file cannot be written.
        UserError: If a name is one that a CSV in UTF-8 does not give back.
    """
    _refuse_names_that_csv_changes(path, [name for video in videos if (name := _changed_by_csv(video))])
    folder = path.resolve().parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "group", "label_id"])
    for video, label, split, group, number in videos:
        written = csv_path(os.path.relpath(video.absolute(), folder))
        writer.writerow([written, spreadsheet_cell(label), split, spreadsheet_cell(group), number])
    write_text(path, text.getvalue())


def _changed_by_csv(video: tuple[Path, str, str, str, int]) -> str | None:
    """The first of a video's path, class and group that a CSV file in UTF-8 would not give back."""
    names = map(str, video[:4])
    return next((name for name in names if name != name.strip() or not is_unicode(name)), None)


def _refuse_names_that_csv_changes(path: Path, bad: Sequence[str]) -> None:
    if bad:
        shown = [f"  {printable(name)}" for name in bad[:_MAX_SHOWN]]
        more = [f"  and {len(bad) - _MAX_SHOWN} more"] if len(bad) > _MAX_SHOWN else []
        what = "a CSV file cannot hold these names: they are not UTF-8, or begin or end with a blank"
        raise UserError(
            "\n".join([f"{path}: {what}", *shown, *more]), hint="rename those files or folders first"
        )
