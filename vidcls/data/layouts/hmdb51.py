"""HMDB51 (Kuehne et al. 2011): one list for each class and split number.

    testTrainMulti_7030_splits/brush_hair_test_split1.txt
        April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1
    brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi

1 is train, 2 is test, 0 is unused. There is no val. The lists are in the root or in a folder whose name
contains annotation, split, list or label; the class folders are anywhere below the root.
"""

from __future__ import annotations

import re
from pathlib import Path

from vidcls.choices import Split
from vidcls.data.listing.disk import Disk, annotation_folders
from vidcls.data.listing.labels import sorted_classes
from vidcls.data.listing.listing import ListedVideo, Listing, Problem
from vidcls.data.listing.rows import refuse_pipe
from vidcls.errors import UserError

_SPLITS: dict[str, Split] = {"1": "train", "2": "test"}
_UNUSED = "0"


def is_hmdb51(root: Path) -> bool:
    """Whether `root` contains lists of HMDB51."""
    return bool(_lists(root))


def read_hmdb51(root: Path, *, split_number: int) -> Listing:
    """List the videos of the official split `split_number` (1 to 3).

    Raises:
        UserError: If a list is missing or cannot be read.
    """
    lists = _lists(root)
    of_number = {name: path for (name, number), path in lists.items() if number == split_number}
    if absent := sorted({name for name, _ in lists} - set(of_number)):
        raise UserError(
            f"data.root: {absent[0]}_test_split{split_number}.txt does not exist ({len(absent)} lists are "
            "missing)",
            hint=f"set data.split_number; the lists have the numbers {_numbers(lists)}",
        )
    disk = Disk(root)
    entries: list[ListedVideo] = []
    problems: list[Problem] = []
    num_unused = 0
    for label, path in sorted(of_number.items()):
        for number, line in enumerate(_text(path).splitlines(), start=1):
            where = f"{path.relative_to(root).as_posix()}:{number}"
            words = line.split()
            if not words:
                continue
            name, value = " ".join(words[:-1]), words[-1]
            if not name or value not in (*_SPLITS, _UNUSED):
                problems.append(
                    Problem("table", f"{where}: {line.strip()!r} is not a file name and 0, 1 or 2")
                )
                continue
            found = disk.find(f"{label}/{name}", where=where)
            if value == _UNUSED:
                num_unused += 1
            elif isinstance(found, Problem):
                problems.append(found)
            else:
                entries.append(ListedVideo(f"{label}/{name}", found, label, _SPLITS[value], None, where))
    if num_unused:
        problems.append(Problem("unused", f"{num_unused} videos are in no split (0 in the lists)"))
    problems += disk.problems(root, tables=lists.values())
    classes = sorted_classes(of_number)
    return Listing(f"hmdb51 (split {split_number})", classes, tuple(entries), tuple(problems))


def _lists(root: Path) -> dict[tuple[str, int], Path]:
    """Lists by class and split number."""
    lists: dict[tuple[str, int], Path] = {}
    for folder in annotation_folders(root):
        for path in sorted(folder.glob("*_test_split*.txt")):
            if match := re.fullmatch(r"(.+)_test_split([1-9])\.txt", path.name):
                lists.setdefault((match[1], int(match[2])), path)
    return lists


def _numbers(lists: dict[tuple[str, int], Path]) -> str:
    return ", ".join(str(number) for number in sorted({number for _, number in lists}))


def _text(path: Path) -> str:
    refuse_pipe(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"data.root: the HMDB51 list {path} is not text in UTF-8") from None
