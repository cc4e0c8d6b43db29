"""CSV manifest `path,label[,split][,group][,label_id][,flows]`. Paths are relative to the CSV.

`label` is the name of the class. Without the column `split` all videos are train. `label_id` defines the
order of the classes if it is not the sorted order of their names; `vidcls data scan --write-manifest` writes
it so that labels are kept. `flows` is the folder of the flow fields of a video, if it differs from its path.
The delimiter may be a comma, a semicolon, a tab or `|`.
"""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vidcls.choices import Split
from vidcls.data.listing.disk import NearPaths
from vidcls.data.listing.files import find_videos
from vidcls.data.listing.labels import ClassIds, group_problem, label_problem, sorted_classes
from vidcls.data.listing.listing import SPLIT_NAMES, ListedVideo, Listing, Problem
from vidcls.data.listing.rows import read_rows
from vidcls.errors import UserError
from vidcls.files import write_text
from vidcls.text import csv_path, from_spreadsheet_cell, is_unicode, printable, spreadsheet_cell

COLUMNS = ("path", "label")
_MAX_SHOWN = 10


def read_table(path: Path) -> Listing:
    """List the videos of a CSV manifest.

    Raises:
        UserError: If the file is not a CSV or lacks a column.
    """
    ids = ClassIds()
    near = NearPaths(path.parent)
    entries: list[ListedVideo] = []
    problems: list[Problem] = []
    has_ids = False
    for line, row in read_rows(path, COLUMNS, problems):
        where = f"{path.name}:{line}"
        row |= {name: from_spreadsheet_cell(row[name]) for name in ("label", "group") if name in row}
        has_ids = "label_id" in row
        entry = _entry(row, path.parent, where=where)
        if isinstance(entry, ListedVideo) and has_ids:
            entry = ids.add(row["label"], row["label_id"], where=where) or entry
        if isinstance(entry, ListedVideo) and not entry.path.exists():
            entry = _misspelt(row["path"], near, where=where) or entry
        if isinstance(entry, ListedVideo):
            entries.append(entry)
        else:
            problems.append(entry)
    classes = ids.ordered() if has_ids else sorted_classes(entry.label for entry in entries)
    return Listing("csv", classes, tuple(entries), (*problems, *_unlisted(entries)))


def _entry(row: Mapping[str, str], folder: Path, *, where: str) -> ListedVideo | Problem:
    label, group = row["label"], row.get("group", "")
    split = SPLIT_NAMES.get(row["split"].lower()) if "split" in row else "train"
    if not row["path"]:
        return Problem("table", f"{where}: no path")
    if (problem := label_problem(label, where=where) or group_problem(group, where=where)) is not None:
        return problem
    if split is None:
        return Problem("split", f"{where}: split {row['split']!r} is not train, val or test")
    written = Path(row["path"])
    flows = folder / row["flows"] if row.get("flows") else None
    return ListedVideo(written.as_posix(), folder / written, label, split, group or None, where, flows)


def _misspelt(written: str, near: NearPaths, *, where: str) -> Problem | None:
    found = near.find(written)
    if found is None:
        return None
    path, difference = found
    return Problem(
        "missing",
        f"{where}: {written} does not exist, but {path} does, which differs in {difference}; write this path",
    )


def _unlisted(entries: list[ListedVideo]) -> Iterator[Problem]:
    # Only folders with listed videos are searched: the CSV may lie beside other data.
    listed: dict[Path, set[str]] = defaultdict(set)
    for entry in entries:
        listed[entry.path.parent].add(entry.path.name)
    absent: dict[Path, list[str]] = {}
    num_others = 0
    for folder, names in sorted(listed.items()):
        if not folder.is_dir():
            continue
        others = [path.name for path in find_videos(folder, depth=1) if path.parent == folder]
        if missing := [name for name in others if name not in names]:
            absent[folder], num_others = missing, num_others + len(others)
    if absent:
        # One message for all folders: in a data set with class folders, each may contain unlisted videos.
        folder, names_of_it = next(iter(absent.items()))
        num = sum(map(len, absent.values()))
        shown = ", ".join(names_of_it[:3]) + (", ..." if num > len(names_of_it[:3]) else "")
        where = f"{folder} and {len(absent) - 1} more folders" if len(absent) > 1 else str(folder)
        yield Problem("unlisted", f"{where}: {num} of {num_others} videos are not listed: {shown}")


class ManifestRow(NamedTuple):
    """Row of a manifest for one video.

    Attributes:
        path: Video file or folder of frames.
        label: Name of its class.
        split: Split of the video.
        group: Source from which the video was cut; empty if unknown.
        label_id: Label of the class.
        flows: Folder of its flow fields; None if it has no separate folder.
    """

    path: Path
    label: str
    split: Split
    group: str
    label_id: int
    flows: Path | None = None


def write_table(path: Path, videos: Sequence[ManifestRow]) -> None:
    """Write a CSV manifest with relative paths, and without cells that a spreadsheet would run as formulas.

    Raises:
        OSError: If the file cannot be written.
        UserError: If a name cannot be stored unchanged in a CSV in UTF-8.
    """
    _refuse_names_that_csv_changes(path, [name for video in videos if (name := _changed_by_csv(video))])
    folder = path.resolve().parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    are_apart = any(video.flows not in (None, video.path) for video in videos)
    writer.writerow([*COLUMNS, "split", "group", "label_id", *(["flows"] if are_apart else [])])

    def written(place: Path) -> str:
        return csv_path(os.path.relpath(place.absolute(), folder))

    for video in videos:
        names = (spreadsheet_cell(video.label), video.split, spreadsheet_cell(video.group))
        flows = [written(video.flows or video.path)] if are_apart else []
        writer.writerow([written(video.path), *names, video.label_id, *flows])
    write_text(path, text.getvalue())


def _changed_by_csv(video: ManifestRow) -> str | None:
    """First of a video's paths, class and group that a CSV file in UTF-8 cannot store unchanged."""
    names = map(str, (video.path, video.flows or "", video.label, video.split, video.group))
    return next((name for name in names if name != name.strip() or not is_unicode(name)), None)


def _refuse_names_that_csv_changes(path: Path, bad: Sequence[str]) -> None:
    if bad:
        shown = [f"  {printable(name)}" for name in bad[:_MAX_SHOWN]]
        more = [f"  and {len(bad) - _MAX_SHOWN} more"] if len(bad) > _MAX_SHOWN else []
        what = (
            "a CSV file cannot contain these names, because they are not UTF-8, or begin or end with a blank"
        )
        raise UserError(
            "\n".join([f"{path}: {what}", *shown, *more]), hint="rename those files or folders first"
        )
