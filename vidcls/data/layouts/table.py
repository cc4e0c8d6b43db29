"""A CSV manifest `path,label,split[,group][,label_id][,flows]`. Paths are relative to the CSV.

`label` is the name of the class. `label_id` settles the order of the classes where that is not the sorted
order of their names; `vidcls data scan --write-manifest` writes it so that labels survive. `flows` is the
folder of the flow fields of a video, where that is not its path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
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

COLUMNS = ("path", "label", "split")


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
            Entry(
                id=row["path"],
                path=video,
                label=row["label"],
                split=split,
                group=group,
                where=where,
                flows=path.parent / row["flows"] if row.get("flows") else None,
            )
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
