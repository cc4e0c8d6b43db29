"""Course layout: `metadata/{train,val,test}.csv` with `videos/`, `frames/` and `flows/`, or some of them.

    metadata/train.csv                       video_name,video_path,action,label
    videos/{split}/{video_path}              video_path is {action}/{video_name}.avi
    frames/{split}/{action}/{video_name}/    frame_1.jpg, frame_2.jpg, ...
    flows/{split}/{action}/{video_name}/     flow_1_2.npy, flow_2_3.npy, ...: floats (2, H, W)

Label ids come from the tables: they are not in alphabetic order. The id of a video is `video_path` without
its suffix.
"""

from __future__ import annotations

from pathlib import Path

from vidcls.choices import SPLITS, Source
from vidcls.data.decoding.frame_folders import look_into
from vidcls.data.listing.disk import Disk
from vidcls.data.listing.files import without_video_suffix
from vidcls.data.listing.labels import ClassIds
from vidcls.data.listing.listing import ListedVideo, Listing, Problem
from vidcls.data.listing.rows import read_rows
from vidcls.errors import UserError

_KINDS = ("videos", "frames", "flows")  # in the order of preference of `auto`
_NO_VECTORS = "(u, v) cannot be computed from colour-wheel pictures"
_COMPUTE = (
    "set data.root to a folder with flows/*.npy, or let vidcls compute the flow: data.source=videos "
    "clip.modality=flow"
)
_COLUMNS = ("video_name", "video_path", "action", "label")


def is_course(root: Path) -> bool:
    """Whether `root` holds a table of the course."""
    return any((root / "metadata" / f"{split}.csv").is_file() for split in SPLITS)


def read_course(root: Path, *, source: Source) -> Listing:
    """List a course root, reading `source`; `auto` takes videos if there are several sources.

    Raises:
        UserError: If the folder for `source` is missing or has pictures instead of flow, or a table cannot be
            read.
    """
    kind = _source(root, source)
    # For `videos+flows`, each video is looked up in both folders.
    disks = {name: Disk(root / name) for name in kind.split("+")}
    ids = ClassIds()
    entries: list[ListedVideo] = []
    problems: list[Problem] = []
    for split in SPLITS:
        table = root / "metadata" / f"{split}.csv"
        if not table.is_file():
            continue
        for line, row in read_rows(table, _COLUMNS, problems):
            where = f"metadata/{split}.csv:{line}"
            name, action = row["video_name"], row["action"]
            path = row["video_path"].lstrip("/")
            written = path if "videos" in disks else f"{action}/{name}"
            if not name or not written:
                problems.append(Problem("table", f"{where}: no video_name or no video_path"))
                continue
            paths = {
                of: disk.take(f"{split}/{written if of == 'videos' else f'{action}/{name}'}", where=where)
                for of, disk in disks.items()
            }
            if "flows" in paths:
                _refuse_pictures(paths["flows"])
            problem = ids.add(action, row["label"], where=where)
            if problem is not None:
                problems.append(problem)
                continue
            entries.append(
                ListedVideo(
                    # Same id for the video, its frames and its flow; a name alone may repeat in another
                    # class.
                    id=without_video_suffix(path or written),
                    path=next(iter(paths.values())),
                    label=action,
                    split=split,
                    group=None,
                    where=where,
                    flows=paths.get("flows"),
                    has_frames=kind != "flows",
                )
            )
    for disk in disks.values():
        problems += disk.problems(root)
    return Listing(f"course ({kind})", ids.ordered(), tuple(entries), tuple(problems))


def _source(root: Path, source: Source) -> str:
    there = [kind for kind in _KINDS if (root / kind).is_dir()]
    asked = [] if source == "auto" else source.split("+")
    if "flows" in asked and "flows" not in there and (root / "flows_png").is_dir():
        raise UserError(
            f"data.source: {source}: {root} has only flows_png/, and {_NO_VECTORS}", hint=_COMPUTE
        )
    if not there:
        raise UserError(f"data.root: {root} has metadata/ but none of videos/, frames/ and flows/")
    if not set(asked) <= set(there):
        raise UserError(
            f"data.source: {source}, but {root} has only {' and '.join(f'{kind}/' for kind in there)}",
            hint=f"set data.source={there[0]}, or leave out data.source",
        )
    return there[0] if source == "auto" else source


def _refuse_pictures(folder: Path) -> None:
    if not folder.is_dir():
        return
    found = look_into(folder)
    pictures = [*(file.name for file in found.frames), *found.others]
    if pictures:
        raise UserError(
            f"data.source: flows: {folder} contains the picture {pictures[0]}, and {_NO_VECTORS}",
            hint=_COMPUTE,
        )
