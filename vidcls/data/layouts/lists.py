"""Plain text lists `path label`, one video per line, as written by MMAction2 and many others.

    train_list.txt       some/where/a.mp4 0
    val_list.txt         some/where/b.mp4 3
    label_map.txt        abseiling            (id 0: the first line), or `0 abseiling`, or `abseiling 0`

Lists of frame folders have the number of frames in between: `some/where/a 120 0`. The lists are in the root
or in a folder whose name contains annotation, split, list or label; a path is the end of a path below the
root. The name of a list gives its split, and its split number (`split_1`) if there is one. A single list may
be the root: then its folder holds the videos, and all of them are train. If labels are numbers and there is a
file of classes (`classInd.txt`, `label_map.txt`, `classes.txt`), it gives the names of the classes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vidcls.choices import SPLITS, Split
from vidcls.data.listing.disk import Disk, annotation_folders
from vidcls.data.listing.files import is_video_file
from vidcls.data.listing.labels import ClassIds, label_problem, sorted_classes
from vidcls.data.listing.listing import SPLIT_NAMES, ListedVideo, Listing, Problem
from vidcls.data.listing.rows import refuse_pipe
from vidcls.errors import UserError

_SUFFIXES = (".txt", ".csv", ".lst", ".list")
_NUMBER = r"[0-9]{1,9}"


@dataclass(frozen=True)
class _Lines:
    """Lists of one data set, by split, and its file of classes."""

    of_split: Mapping[Split, Path]
    classes: Path | None
    problems: tuple[Problem, ...] = ()


def is_lists(root: Path) -> bool:
    """Whether `root` is such a list, or a folder with lists named after splits."""
    if root.is_file():
        return root.suffix.lower() in _SUFFIXES and _looks_right(root)
    return any(_named_split(path) is not None for path in _all_lists(root))


def has_split_numbers(root: Path) -> bool:
    """Whether the lists in the folder `root` have split numbers, as in UCF101 and HMDB51."""
    return root.is_dir() and any(_split_number(path) is not None for path in _all_lists(root))


def read_lists(root: Path, *, split_number: int | None) -> Listing:
    """List the videos in the lists of `root`.

    Raises:
        UserError: If several lists are for one split, or a single list is for val or test.
    """
    folder = root.parent if root.is_file() else root
    lists = _one(root) if root.is_file() else _choose(root, split_number or 1)
    problems = list(lists.problems)
    ids = _class_ids(lists.classes, problems) if lists.classes is not None else None
    disk = Disk(folder)
    entries: list[ListedVideo] = []
    for split, path in lists.of_split.items():
        for number, line in _lines(path):
            where = f"{path.relative_to(folder).as_posix()}:{number}"
            entry = _entry(line, split, ids, disk, where=where, classes=lists.classes)
            if isinstance(entry, ListedVideo):
                entries.append(entry)
            else:
                problems.append(entry)
    if root.is_dir():
        tables = [*_all_lists(root), *([] if lists.classes is None else [lists.classes])]
        problems += disk.problems(folder, tables=tables)
    classes = ids.ordered() if ids is not None else sorted_classes(entry.label for entry in entries)
    return Listing(f"lists{_numbered(lists)}", classes, tuple(entries), tuple(problems))


def _entry(
    line: str, split: Split, ids: ClassIds | None, disk: Disk, *, where: str, classes: Path | None
) -> ListedVideo | Problem:
    parsed = _parse(line)
    if parsed is None:
        return Problem("table", f"{where}: {line!r} is not a path and a label")
    written, label = parsed
    found = disk.find(written, where=where, split=split)
    if re.fullmatch(rf"{_NUMBER}([\s,;]+{_NUMBER})+", label):
        return Problem("label", f"{where}: several labels ({label}); a video must have one class")
    if ids is not None and classes is not None:
        name = ids.name_of(int(label)) if re.fullmatch(_NUMBER, label) else label
        if name is None or name not in ids:
            known = ids.ids()
            return Problem(
                "label",
                f"{where}: label {label!r} is not in {classes.name}, whose ids are {known[0]} to "
                f"{known[-1]}: both must begin with the same number",
            )
        label = name
    if (problem := label_problem(label, where=where)) is not None:
        return problem
    if isinstance(found, Problem):
        return found
    return ListedVideo(Path(written).as_posix(), found, label, split, None, where)


def _parse(line: str) -> tuple[str, str] | None:
    """Path and label of a line; a path may contain blanks if it has the suffix of a video file."""
    words = [(match.start(), match.end()) for match in re.finditer(r"[^\s,;|]+", line)]
    for (_, end), (start, _) in pairwise(words):
        if is_video_file(Path(line[:end]).name):
            return line[:end], line[start:].strip()
    if match := re.fullmatch(rf"(\S+)\s+{_NUMBER}\s+({_NUMBER})", line):
        return match[1], match[2]
    match = re.fullmatch(r"(\S+)[\s,;|]+(\S+)", line)
    return (match[1], match[2]) if match else None


def _looks_right(path: Path) -> bool:
    """Whether the first line is a path and a label, so that the file can be treated as a list."""
    try:
        _, line = next(_lines(path), (0, ""))
    except UserError:
        return False
    parsed = _parse(line)
    if parsed is None:
        return False
    written, label = parsed
    return (
        is_video_file(Path(written).name)
        or "/" in written
        or (re.fullmatch(_NUMBER, label) is not None and re.fullmatch(_NUMBER, written) is None)
    )


def _all_lists(root: Path) -> list[Path]:
    return [
        path
        for folder in annotation_folders(root)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _SUFFIXES
        and not path.name.startswith(".")
        and not _is_classes(path)
        and path.is_file()
        and _looks_right(path)
    ]


def _choose(root: Path, split_number: int) -> _Lines:
    found = _all_lists(root)
    numbers = sorted({number for path in found if (number := _split_number(path)) is not None})
    if numbers and split_number not in numbers:
        raise UserError(
            f"data.split_number: {split_number}, but the lists of {root} have the numbers {numbers}",
            hint=f"data.split_number={numbers[0]}",
        )
    of_split: dict[Split, list[Path]] = defaultdict(list)
    problems: list[Problem] = []
    for path in found:
        split = _named_split(path)
        if split is None:
            problems.append(
                Problem("not_read", f"{path.name}: the name of this list does not show its split")
            )
        elif _split_number(path) in (None, split_number):
            of_split[split].append(path)
    for split, paths in of_split.items():
        if len(paths) > 1:
            names = " and ".join(path.relative_to(root).as_posix() for path in paths)
            raise UserError(
                f"data.root: {names} are {len(paths)} lists for {split}",
                hint=f"leave only one of them in {root}, or read a single list: data.root={paths[0]}",
            )
    ordered = {split: of_split[split][0] for split in SPLITS if split in of_split}
    return _Lines(ordered, _classes_file([*annotation_folders(root)]), tuple(problems))


def _one(path: Path) -> _Lines:
    split = _named_split(path)
    if split in ("val", "test"):
        raise UserError(
            f"data.root: the name of {path} says {split}, but a single list is read as train",
            hint=f"set data.root={path.parent} to read the lists of all splits, or rename the list",
        )
    others = [other.name for other in _all_lists(path.parent) if other != path and _named_split(other)]
    problems = [
        Problem("not_read", f"{', '.join(others)}: not read; set data.root={path.parent} to read all lists")
    ]
    return _Lines({"train": path}, _classes_file([path.parent]), tuple(problems if others else ()))


def _numbered(lists: _Lines) -> str:
    numbers = {number for path in lists.of_split.values() if (number := _split_number(path)) is not None}
    return f" (split {numbers.pop()})" if numbers else ""


def _named_split(path: Path) -> Split | None:
    words = re.split(r"[^a-z]+", path.stem.lower())
    splits = {split for word in words if (split := SPLIT_NAMES.get(word.removesuffix("list")))}
    return splits.pop() if len(splits) == 1 else None


def _split_number(path: Path) -> int | None:
    match = re.search(r"(?:split[_-]?|list0?)([1-9])(?![0-9])", path.stem.lower())
    return int(match[1]) if match else None


def _is_classes(path: Path) -> bool:
    return re.match(r"class|label|categor", path.name.lower()) is not None


def _classes_file(folders: Sequence[Path]) -> Path | None:
    found = [
        path
        for folder in folders
        for path in sorted(folder.glob("*.txt"))
        if _is_classes(path) and path.is_file() and _named_split(path) is None
    ]
    if len(found) > 1:
        raise UserError(
            f"data.root: {' and '.join(str(path) for path in found)} may contain the names of the classes",
            hint="leave only one of them there",
        )
    return found[0] if found else None


def _class_ids(path: Path, problems: list[Problem]) -> ClassIds:
    """Classes of a file with lines `id name`, `name id`, or only a name; then the first has id 0."""
    lines = list(_lines(path))
    first = [re.fullmatch(rf"({_NUMBER})[\s,:;]+(.+)", line) for _, line in lines]
    last = [re.fullmatch(rf"(.+?)[\s,:;]+({_NUMBER})", line) for _, line in lines]
    if lines and all(first):
        named = [(match[2], match[1]) for match in first if match]
    elif lines and all(last):
        named = [(match[1], match[2]) for match in last if match]
    else:
        named = [(line, str(place)) for place, (_, line) in enumerate(lines)]
    ids = ClassIds()
    for (number, _), (name, label) in zip(lines, named, strict=True):
        if (problem := ids.add(name.strip(), label, where=f"{path.name}:{number}")) is not None:
            problems.append(problem)
    if not ids.ids():
        raise UserError(f"data.root: {path} contains no class names")
    return ids


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank."""
    refuse_pipe(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.strip()
    except UnicodeDecodeError:
        raise UserError(f"data.root: the list {path} is not text in UTF-8") from None
