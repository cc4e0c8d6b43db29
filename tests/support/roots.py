"""The same few videos in every layout."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
)


@dataclass(frozen=True)
class Clip:
    """One video of the test set, made once as a file and as a folder of frames."""

    name: str
    action: str
    split: str
    file: Path
    frames: Path

    @property
    def group(self) -> str:
        return f"{self.action}/{self.name.split('_')[2]}"


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
                clips.append(Clip(name, action, split, file, images))
    return tuple(clips)


def build(layout: str, root: Path, clips: Sequence[Clip]) -> Path:
    """Lay `clips` out under `root`; returns what `data.root` should be."""
    family, _, form = layout.partition("-")
    root.mkdir(parents=True)
    for clip in clips:
        inner = f"{clip.action}/{clip.name}"
        places = {
            "course": [f"{kind}/{clip.split}/{inner}" for kind in _course_kinds(form)],
            "csv": [f"some place/{inner}"],
            "split": [f"{clip.split}/{inner}"],
            "class": [inner],
            "ucf101": [inner if form == "beside" else f"UCF-101/{inner}"],
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
