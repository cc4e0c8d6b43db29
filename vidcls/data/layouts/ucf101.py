"""Official UCF101 lists (Soomro et al. 2012, arXiv:1212.0402).

    classInd.txt         1 ApplyEyeMakeup
    trainlist01.txt      ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
    testlist01.txt       ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi

The lists are in the root or in `ucfTrainTestlist/`, the class folders in the root, `UCF-101/` or `videos/`.
There is no val.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidcls.choices import Split
from vidcls.data.listing.disk import Disk
from vidcls.data.listing.labels import ClassIds
from vidcls.data.listing.listing import ListedVideo, Listing, Problem
from vidcls.data.listing.rows import refuse_pipe
from vidcls.errors import UserError

_LIST_FOLDERS = (".", "ucfTrainTestlist")
_VIDEO_FOLDERS = ("UCF-101", "UCF101", "videos")


def is_ucf101(root: Path) -> bool:
    """Whether `root` contains the official lists."""
    return _lists(root) is not None


def read_ucf101(root: Path, *, split_number: int) -> Listing:
    """List the videos of the official split `split_number` (1 to 3).

    Raises:
        UserError: If a list is missing or cannot be read.
    """
    lists = _lists(root)
    assert lists is not None
    ids = ClassIds()
    problems: list[Problem] = []
    for where, line in _lines(lists / "classInd.txt"):
        number, _, name = line.partition(" ")
        if (problem := ids.add(name.strip(), number, where=where)) is not None:
            problems.append(problem)
    by_name = {name.casefold(): name for name in ids.ordered()}
    disk = Disk(next((root / name for name in _VIDEO_FOLDERS if (root / name).is_dir()), root))
    entries: list[ListedVideo] = []
    for split, name in _files(split_number):
        for where, line in _lines(lists / name):
            written, _, number = line.partition(" ")
            path = disk.take(written, where=where)
            label = by_name.get(written.partition("/")[0].casefold())
            problem = None
            if label is None:
                problem = Problem("label", f"{where}: {written} has a class that is not in classInd.txt")
            elif number.strip():
                problem = ids.add(label, number.strip(), where=where)
            if problem is not None or label is None:
                problems += [problem] if problem is not None else []
                continue
            entries.append(
                ListedVideo(id=written, path=path, label=label, split=split, group=None, where=where)
            )
    problems += disk.problems(root, tables=[lists / "classInd.txt", *lists.glob("t*list0[1-3].txt")])
    return Listing(f"ucf101 (split {split_number})", ids.ordered(), tuple(entries), tuple(problems))


def _lists(root: Path) -> Path | None:
    folders = (root / name for name in _LIST_FOLDERS if (root / name / "classInd.txt").is_file())
    return next((folder for folder in folders if any(folder.glob("t*list0[1-3].txt"))), None)


def _files(split_number: int) -> tuple[tuple[Split, str], ...]:
    return ("train", f"trainlist0{split_number}.txt"), ("test", f"testlist0{split_number}.txt")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    refuse_pipe(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"data.root: the UCF101 list {path} does not exist", hint="set data.split_number"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"data.root: the UCF101 list {path} is not text") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{path.name}:{number}", " ".join(line.split())
