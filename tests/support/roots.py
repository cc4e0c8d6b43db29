"""The same few videos in every layout."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.video import moving_square, write_clip, write_frames

# In label order, which is neither sorted nor reversed; the second is spelt differently in file names.
CLASSES = ("WallPushups", "HandstandPushups", "Lunges")
LAYOUTS = (
    "course-videos",
    "course-frames",
    "course-both",
    "csv-videos",
    "csv-frames",
    "split-videos",
    "split-frames",
    "class-videos",
    "class-frames",
    "ucf101-videos",
    "ucf101-frames",
    "ucf101-beside",
    "hmdb51-videos",
    "hmdb51-frames",
    "kinetics-flat",
    "kinetics-classes",
    "kinetics-frames",
    "ssv2-videos",
    "ssv2-frames",
    "lists-videos",
    "lists-frames",
)
# Families whose tables say all three splits; of others all is train, or there is no val.
THREE_SPLITS = ("course", "csv", "split", "kinetics", "ssv2", "lists")
WITH_IDS = ("course", "ucf101", "ssv2", "lists")
WITH_TABLE = ("course", "csv", *WITH_IDS[1:], "hmdb51", "kinetics")


@dataclass(frozen=True)
class Clip:
    """One video of the test set, made once as a file and as a folder of frames."""

    name: str
    action: str
    split: str
    group: str | None
    file: Path
    frames: Path


def make_clips(folder: Path) -> tuple[Clip, ...]:
    """Three classes of six clips in three groups: two clips train, two val, two test."""
    clips = []
    for label, action in enumerate(CLASSES):
        spelt = action.replace("Handstand", "HandStand")
        for group, split in enumerate(("train", "val", "test"), start=9):
            for number in (1, 2):
                name = f"v_{spelt}_g{group:02}_c{number:02}"
                frames = moving_square(11, 24, 32, seed=100 * label + 10 * group + number)
                file = write_clip(folder / "videos" / f"{name}.avi", frames, codec="mpeg4")
                images = write_frames(folder / "frames" / name, frames[::5])
                clips.append(Clip(name, action, split, f"{action}/g{group:02}", file, images))
    return tuple(clips)


def named(layout: str, clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """`clips` called as the data set calls its videos; two of one group stay in one group if names tell it."""
    family = layout.partition("-")[0]
    renamed = []
    numbers = {name: number for number, name in enumerate(sorted(clip.name for clip in clips))}
    for clip in clips:
        number = numbers[clip.name]
        source = f"{clip.action[:3]}Source{number // 2:02}"
        name, group = {
            "hmdb51": (f"{source}_{clip.action}_f_nm_np1_fr_goo_{number}", f"source/{source}"),
            "kinetics": (f"{source}_{10 * number:06}_{10 * number + 10:06}", f"source/{source}"),
            "ssv2": (str(101 + number), None),
        }.get(family, (clip.name, clip.group))
        renamed.append(replace(clip, name=name, group=group))
    return tuple(renamed)


def build(layout: str, root: Path, clips: Sequence[Clip]) -> Path:
    """Lay `clips`, called as `named` calls them, out under `root`; returns what `data.root` should be."""
    family, _, form = layout.partition("-")
    root.mkdir(parents=True)
    clips = named(layout, clips)
    for clip in clips:
        inner = f"{clip.action}/{clip.name}"
        places = {
            "course": [f"{kind}/{clip.split}/{inner}" for kind in _course_kinds(form)],
            "csv": [f"some place/{inner}"],
            "split": [f"{clip.split}/{inner}"],
            "class": [inner],
            "ucf101": [inner if form == "beside" else f"UCF-101/{inner}"],
            "hmdb51": [inner],
            "kinetics": [f"{clip.split}/{inner if form == 'classes' else clip.name}"],
            "ssv2": [f"20bn-something-something-v2/{clip.name}"],
            "lists": [f"videos_{clip.split}/{inner}"],
        }[family]
        for place in places:
            as_frames = form == "frames" or place.startswith("frames/")
            put(clip, root / place, as_frames=as_frames)
    if family == "course":
        for split in ("train", "val", "test"):
            write_course_table(root, split, [clip for clip in clips if clip.split == split])
    if family == "csv":
        ending = "" if form == "frames" else ".avi"
        rows = [(f"some place/{c.action}/{c.name}{ending}", c.action, c.split) for c in clips]
        return write_csv(root / "table.csv", ("path", "label", "split"), rows)
    if family == "ucf101":
        _write_ucf101_lists(root if form == "beside" else root / "ucfTrainTestlist", clips)
    writers = {"hmdb51": _write_hmdb51, "kinetics": _write_kinetics, "ssv2": _write_ssv2}
    if family in writers:
        writers[family](root, clips)
    if family == "lists":
        _write_lists(root, clips, as_frames=form == "frames")
    return root


def put(clip: Clip, place: Path, *, as_frames: bool) -> Path:
    """Copy `clip` to `place`, a folder, or with the ending of its file."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if as_frames:
        return Path(shutil.copytree(clip.frames, place))
    return Path(shutil.copy(clip.file, place.with_name(place.name + clip.file.suffix)))


def write_course_table(root: Path, split: str, clips: Iterable[Clip]) -> Path:
    rows = [(c.name, f"{c.action}/{c.name}.avi", c.action, CLASSES.index(c.action)) for c in clips]
    return write_csv(
        root / "metadata" / f"{split}.csv", ("video_name", "video_path", "action", "label"), rows
    )


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def _course_kinds(form: str) -> tuple[str, ...]:
    return ("videos", "frames") if form == "both" else (form,)


def _write_ucf101_lists(folder: Path, clips: Sequence[Clip]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{number} {name}" for number, name in enumerate(CLASSES, start=1)]
    (folder / "classInd.txt").write_text("\r\n".join(lines) + "\r\n")
    for split_number in (1, 2, 3):
        # Like the official ones, split 2 holds other videos out.
        test = [clip for clip in clips if clip.split == ("val" if split_number == 2 else "test")]
        train = [f"{c.action}/{c.name}.avi {CLASSES.index(c.action) + 1}\n" for c in clips if c not in test]
        (folder / f"trainlist0{split_number}.txt").write_text("".join(train))
        (folder / f"testlist0{split_number}.txt").write_text(
            "".join(f"{c.action}/{c.name}.avi\n" for c in test)
        )


def _write_hmdb51(root: Path, clips: Sequence[Clip]) -> None:
    folder = root / "testTrainMulti_7030_splits"
    folder.mkdir()
    for split_number in (1, 2, 3):
        held_out = "val" if split_number == 2 else "test"
        for action in CLASSES:
            rows = [f"{c.name}.avi {1 + (c.split == held_out)} \n" for c in clips if c.action == action]
            (folder / f"{action}_test_split{split_number}.txt").write_text("".join(rows))


def _write_kinetics(root: Path, clips: Sequence[Clip]) -> None:
    for split in ("train", "val", "test"):
        rows = []
        for clip in clips:
            source, start, end = clip.name.rsplit("_", 2)
            if clip.split == split:
                rows.append((clip.action, source, int(start), int(end), split))
        columns = ("label", "youtube_id", "time_start", "time_end", "split")
        write_csv(root / "annotations" / f"{split}.csv", columns, rows)


def template_of(action: str) -> str:
    """A template of Something-Something-v2 that gives the class `action`."""
    return f"[{action[:4]}]{action[4:]}"


def _write_ssv2(root: Path, clips: Sequence[Clip]) -> None:
    folder = root / "labels"
    folder.mkdir()
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        items = [
            {"id": clip.name, "label": "an instance", "template": template_of(clip.action)}
            for clip in clips
            if clip.split == split
        ]
        (folder / f"{name}.json").write_text(json.dumps(items))
    (folder / "labels.json").write_text(json.dumps({name: str(id_) for id_, name in enumerate(CLASSES)}))


def _write_lists(root: Path, clips: Sequence[Clip], *, as_frames: bool) -> None:
    for split in ("train", "val", "test"):
        rows = [
            f"{c.action}/{c.name} 3 {CLASSES.index(c.action)}\n"
            if as_frames
            else f"{c.action}/{c.name}.avi {CLASSES.index(c.action)}\n"
            for c in clips
            if c.split == split
        ]
        (root / f"motion_{split}_list.txt").write_text("".join(rows))
    (root / "label_map.txt").write_text("\n".join(CLASSES) + "\n")
