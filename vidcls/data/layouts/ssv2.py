"""Something-Something-v2 (Goyal et al. 2017, arXiv:1706.04261): label files in JSON beside the clips.

    labels/train.json         [{"id": "78687", "template": "Holding [something] next to [something]", ...}]
    labels/labels.json        {"Holding something next to something": "42", ...}
    20bn-something-something-v2/78687.webm

The class is the template without its brackets; `labels.json`, if it exists, gives the ids. File names may
begin with `something-something-v2-`. The label files are in the root or in a folder whose name contains
annotation, split, list or label; the clips are anywhere below the root.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from vidcls.choices import Split
from vidcls.data.listing.disk import Disk, annotation_folders
from vidcls.data.listing.labels import ClassIds, label_problem, sorted_classes
from vidcls.data.listing.listing import SPLIT_NAMES, ListedVideo, Listing, Problem
from vidcls.errors import UserError

_PREFIX = r"(?:something-something-v2-)?"
_FIRST_BYTES = 4096


def is_ssv2(root: Path) -> bool:
    """Whether `root` contains label files of Something-Something-v2."""
    return bool(_label_files(root))


def read_ssv2(root: Path) -> Listing:
    """List the clips in the label files of `root`.

    Raises:
        UserError: If a label file is not valid JSON of this form, or two are for one split.
    """
    files = _label_files(root)
    problems: list[Problem] = []
    names = _names_file(next(iter(files.values())).parent)
    ids = _ids(names, problems) if names is not None else None
    disk = Disk(root)
    entries: list[ListedVideo] = []
    for split, file in files.items():
        without_label = 0
        for number, item in enumerate(_list(file), start=1):
            where = f"{file.name}, entry {number}"
            key = item.get("id") if isinstance(item, dict) else None
            if not isinstance(key, str | int) or not str(key):
                problems.append(Problem("table", f"{where}: no id"))
                continue
            if "template" not in item:
                disk.leave(str(key))
                without_label += 1
                continue
            found = _entry(str(key), item["template"], split, ids, disk, where=where)
            if isinstance(found, ListedVideo):
                entries.append(found)
            else:
                problems.append(found)
        if without_label:
            problems.append(
                Problem(
                    "unlabelled",
                    f"{file.name}: {without_label} clips are not read, because they have no template",
                )
            )
    tables = [*files.values(), *([] if names is None else [names])]
    problems += disk.problems(root, tables=tables)
    classes = ids.ordered() if ids is not None else sorted_classes(entry.label for entry in entries)
    return Listing("ssv2", classes, tuple(entries), tuple(problems))


def _entry(
    key: str, template: Any, split: Split, ids: ClassIds | None, disk: Disk, *, where: str
) -> ListedVideo | Problem:
    label = " ".join(str(template or "").replace("[", "").replace("]", "").split())
    path = disk.find(key, where=where, split=split)
    if (problem := label_problem(label, where=where)) is not None:
        return problem
    if ids is not None and label not in ids:
        return Problem("label", f"{where}: {label!r} is not in the file of labels")
    return path if isinstance(path, Problem) else ListedVideo(key, path, label, split, None, where)


def _label_files(root: Path) -> dict[Split, Path]:
    files: dict[Split, Path] = {}
    for folder in annotation_folders(root):
        for path in sorted(folder.glob("*.json")):
            match = re.fullmatch(_PREFIX + r"([a-z]+)\.json", path.name.lower())
            split = SPLIT_NAMES.get(match[1]) if match else None
            if split is None or not _looks_right(path):
                continue
            if split in files:
                raise UserError(
                    f"data.root: {files[split]} and {path} are both for {split}",
                    hint="leave only one of them there",
                )
            files[split] = path
    return files


def _looks_right(path: Path) -> bool:
    """Whether a file begins as a list of objects with an id: other data sets have a `train.json` too."""
    if not path.is_file():  # reading a pipe would block
        return False
    with path.open("rb") as file:
        start = file.read(_FIRST_BYTES)
    return re.match(rb'\s*\[\s*\{[^{}]*"id"\s*:', start) is not None


def _names_file(folder: Path) -> Path | None:
    files = (
        path for path in sorted(folder.glob("*.json")) if re.fullmatch(_PREFIX + r"labels\.json", path.name)
    )
    return next(files, None)


def _ids(path: Path, problems: list[Problem]) -> ClassIds:
    content = _json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected an object of class names and their ids")
    ids = ClassIds()
    for name, number in content.items():
        if (problem := ids.add(name, str(number), where=path.name)) is not None:
            problems.append(problem)
    return ids


def _list(path: Path) -> list[Any]:
    content = _json(path)
    if not isinstance(content, list):
        raise UserError(f"{path}: expected a list of objects with id and template")
    return content


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON in UTF-8: {error}") from None
