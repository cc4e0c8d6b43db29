"""Each planted mistake is found, with its items; in right data sets nothing is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.own_dataset import write_dataset
from vidcls.cli import app

pytestmark = pytest.mark.long

GIVES = "def __getitem__(self, index):\n    clip, label = super().__getitem__(index)\n    "
VIDEO = "def __getitem__(self, index):\n    video = self.frames(index)\n    "
CLIP = "\n    return torch.from_numpy(video.copy()).permute(3, 0, 1, 2).float() / 255, self.labels[index]"
LONG = ["num_frames=12", "size=48"]

PLANTED: dict[str, tuple[str, list[str], str, str]] = {
    "files sorted as text": (
        VIDEO + "video = video[[int(name) - 1 for name in sorted(map(str, range(1, len(video) + 1)))]]" + CLIP,
        ["num_frames=12", "size=48", "num=24"], "order", r"sorted as text",
    ),
    "frames in no order": (
        VIDEO + "video = video[np.random.default_rng(index).permutation(len(video))]" + CLIP,
        ["num_frames=12", "size=48", "num=12"], "order", r"in the smoothest order, neighbouring frames differ \d+ % less",
    ),
    "a flip for each frame": (
        VIDEO + "video = np.stack([f[:, ::-1] if self.split == 'train' and random.random() < 0.5 else f for f in video])" + CLIP,
        LONG, "per_frame", r"some frames of a clip are mirrored between two random draws and others are not, in train\[0\]",
    ),
    "brightness for each frame": (
        GIVES + "if self.split == 'train':\n        clip = clip * (0.7 + 0.6 * torch.rand(1, clip.shape[1], 1, 1))\n    return clip, label",
        LONG, "per_frame", r"brighter or darker by \d+ %",
    ),
    "a crop for each frame": (
        VIDEO + "size = self.size - 8\n    video = np.stack([f[y : y + size, x : x + size] for f in video for y, x in "
        "[(random.randint(0, 8), random.randint(0, 8)) if self.split == 'train' else (4, 4)]])" + CLIP,
        ["num_frames=6", "size=56"], "per_frame", r"are shifted by \d",
    ),
    "a crop of another size for each frame": (
        VIDEO + "sides = [random.randint(24, 48) if self.split == 'train' else 48 for f in video]\n    corners = [random.randint(0, 48 - side) for side in sides]\n"
        "    grids = [np.linspace(c, c + s - 1, 40).astype(int) for c, s in zip(corners, sides, strict=True)]\n"
        "    video = np.stack([f[grid][:, grid] for f, grid in zip(video, grids, strict=True)])" + CLIP,
        LONG, "per_frame", r"each frame is changed by a draw of its own",
    ),
    "flips of left and right": (
        "classes = ['turn_left', 'turn_right', 'still']", [], "flip", r"mirror changes the class of turn_left, turn_right",
    ),
    "grey levels as floats": (GIVES + "return clip * 255, label", [], "values", r"float32 from .*: grey levels as floats"),
    "train normalised, val not": (
        GIVES + "return ((clip - 0.45) / 0.225 if self.split == 'train' else clip), label",
        [], "values", r"different scales: train: normalised, val: 0 to 1",
    ),
    "NaN": (GIVES + "return (clip * float('nan') if index == 5 else clip), label", [], "values", r"train\[5\]: the clip has values that are NaN"),
    "uint8 among floats": (
        GIVES + "return ((clip * 200).byte() if index == 2 else clip), label", [], "values", r"some clips are uint8 .* train\[2\] differ",
    ),
    "black in place of missing frames": (
        VIDEO + "video[6 + index % 4 :] = 0" + CLIP, LONG, "constant", r"train\[0\] \(frames 6, 7, 8, 9, 10, 11\)",
    ),
    "val in train": (
        "def __init__(self, split='train', num=6):\n    super().__init__(split, num)\n    if split == 'val':\n        self.seeds[1] = 1\n        self.seeds[4] = 4",
        [], "leak", r"2 of 6 val videos are in train too: val\[1\] = train\[1\], val\[4\] = train\[4\]",
    ),
    "a group in both": (
        "@property\ndef groups(self):\n    return [self.split] * 5 + ['film']", [], "leak", r"1 of 6 val videos share a group with train: film",
    ),
    "random val": (
        VIDEO + "video = video[:, :, ::-1] if random.random() < 0.5 else video" + CLIP, [], "evaluation", r"of 6 val items differ when read again",
    ),
    "no argument split": (
        "def __init__(self):\n    super().__init__('train', 12)", [], "evaluation", r"val is cut from train, since it takes no argument `split`",
    ),
    "a slow disk": (
        GIVES + "import time\n    time.sleep(0.3)\n    return clip, label", [], "slow", r"an item takes 0\.3\d* s, .* most of it is waiting",
    ),
    "labels from 1": ("def __init__(self, split='train', num=6):\n    super().__init__(split, num)\n    self.labels = [1, 2, 3] * 2", [], "labels", r"the label is 3; expected 0 to 2"),
    "labels as floats": (GIVES + "return clip, float(label)", [], "labels", r"train\[0\]: the label is 0.0 \(float\)"),
    "a class without val": (
        "def __init__(self, split='train', num=6):\n    super().__init__(split, num)\n    self.labels = [n % (3 if split == 'train' else 2) for n in range(num)]",
        [], "labels", r"1 of 3 classes have no item in val: still",
    ),
    "labels of another order": (
        "def __init__(self, split='train', num=6):\n    super().__init__(split, num)\n    self.own, self.labels = self.labels, sorted(self.labels)\n"
        "def __getitem__(self, index):\n    return torch.rand(3, 4, 24, 24) if self.split == 'train' else torch.from_numpy(np.random.default_rng(index).random((3, 4, 24, 24))), self.own[index]",
        [], "labels", r"`labels` is not what the items give: train\[1\] gives 1, listed is 0",
    ),
    "classes in two orders": (
        "@property\ndef classes(self):\n    return ['a', 'b', 'c'] if self.split == 'train' else ['b', 'a', 'c']", [], "labels", r"label 0 is 'a' for split='train', but 'b'",
    ),
    "shapes that differ": (GIVES + "return (clip[:, :3] if index == 3 else clip), label", [], "shape", r"most clips are \[3, 4, 24, 24\], but train\[3\] \[3, 3, 24, 24\]"),
    "frames first": (GIVES + "return clip.permute(1, 0, 2, 3), label", [], "shape", r"seems to be \[T, C, H, W\]"),
    "channels last": (GIVES + "return clip.permute(1, 2, 3, 0), label", [], "shape", r"seems to be \[T, H, W, C\]"),
    "a generator of its own": (
        "def __init__(self, split='train', num=6):\n    super().__init__(split, num)\n    self.draw = np.random.default_rng(0)\n"
        + VIDEO + "video = video[:, :, ::-1] if self.split == 'train' and self.draw.random() < 0.5 else video" + CLIP,
        [], "randomness", r"differ when read twice: their random numbers come from a generator of the data set's own",
    ),
    "a seed in each item": (
        GIVES.replace("clip, label", "np.random.seed(0)\n    clip, label"), [], "randomness", r"generator of NumPy is in the same state after train\[0\]",
    ),
    "a shuffle when it is made": (
        "def __init__(self, split='train', num=6):\n    super().__init__(split, num)\n    z = list(zip(self.seeds, self.labels))\n"
        "    random.shuffle(z)\n    self.seeds, self.labels = map(list, zip(*z))",
        ["num=24"], "randomness", r"made twice, the train data set has other items, or another order: .*train\[\d+\].* differ; each worker",
    ),
    "a length at random": (
        "def __init__(self, split='train', num=6, made=[]):\n    made.append(1)\n    super().__init__(split, num + len(made))", [], "randomness",
        r"the train data set has 7 items, and 8 when made again",
    ),
    "clips kept after random changes": (
        "def __init__(self, split='train', num=6):\n    super().__init__(split, num)\n    self.kept = {}\n"
        "def __getitem__(self, index):\n    if index not in self.kept:\n        self.kept[index] = super().__getitem__(index)\n    return self.kept[index]",
        [], "randomness", r"train\[1\].* are drawn at random when first read, and then stay the same",
    ),
    "divided by 255 twice": (GIVES + "return clip / 255, label", [], "values", r"to 0\.00\d+: divided by 255 twice"),
    "0 and 1 as bytes": (GIVES + "return clip.clamp(0, 1).round().byte(), label", [], "values", r"uint8 from 0 to 1: 0 to 1 as whole numbers"),
    "a mean and no standard deviation": (GIVES + "return clip * 255 - 114, label", [], "values", r"float32 from -\d.*: a mean was subtracted"),
    "another video in place of a broken one": (
        "def frames(self, index):\n    return super().frames(0 if index == 3 else index)", [], "same_video", r"train\[0\] and train\[3\]",
    ),
    "a length that is too large": (
        "def __len__(self):\n    return super().__len__() + 1\nlabels = None\n"
        "def __getitem__(self, index):\n    self.seeds[index]\n    self.labels = [n % 3 for n in range(6)]\n    clip = super().__getitem__(index)\n    self.labels = None\n    return clip",
        [], "fails", r"IndexError: .*train\[6\].*: the last index fails, as if __len__, which is 7, were too large",
    ),
    "an error": (VIDEO + "raise OSError('gone')", [], "fails", r"own\.py:\d+: OSError: gone \(in train\[0\]\)"),
}  # fmt: skip


def examined(folder: Path, target: str, args: list[str], num: int = 32) -> tuple[int, list[dict[str, Any]]]:
    options = [word for arg in args for word in ("--args", arg)]
    words = [
        "data",
        "doctor",
        target,
        *options,
        "--num",
        str(num),
        "--json",
        "--store-dir",
        str(folder / "store"),
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code in (0, 3), done.output
    return done.exit_code, json.loads(done.stdout)["findings"]


def _class(body: str) -> str:
    return "\n\nclass Own(Squares):\n" + "".join(f"    {line}\n" for line in body.splitlines())


LATE: dict[str, tuple[str, str, str]] = {
    "NaN": ("clip * float('nan') if index in (5, 7) else clip, label", "values",
            r"train\[5\]: the clip has values that are NaN or infinite; the same in train\[7\], val\[5\], val\[7\]$"),
    "a shape": ("clip[:, :3] if index == 5 else clip, label", "shape", r"but train\[5\] \[3, 3, 24, 24\], val\[5\]"),
    "a constant clip": ("clip * 0 if index == 5 and self.split == 'train' else clip, label", "constant", r"one colour in train\[5\]$"),
    "grey levels": ("clip * 255 if index == 5 else clip, label", "values", r"^train\[5\]: the clip is float32 from .* grey levels as floats"),
    "a label": ("clip, (label + (index == 5)) % 3", "labels", r"train\[5\] gives 0, listed is 2"),
    "an array of texts": ("np.array(['a']) if index == 5 else clip, label", "shape", r"train\[5\]: the clip is a NumPy array of <U1; expected"),
    "no pair": ("{'clip': clip} if index == 5 else (clip, label)", "shape", r"train\[5\]: gives an object of type dict; expected \(clip, label\); the same in val\[5\]"),
    "the end of the program": ("(clip, label) if index != 5 else exit(2)", "fails", r"SystemExit: 2 \(in train\[5\]\); the same in val\[5\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", LATE)
def test_a_mistake_in_an_item_that_is_only_read_once_is_found(name: str, tmp_path: Path) -> None:
    gives, kind, message = LATE[name]
    body = (GIVES + "return " + gives).replace("exit(2)", "__import__('sys').exit(2)")
    code, findings = examined(tmp_path, write_dataset(tmp_path, _class(body)), ["num=9"], num=2)
    assert code == 3
    found = [finding["message"] for finding in findings if finding["kind"] == kind]
    assert any(re.search(message, one) for one in found), findings


def test_clips_of_bfloat16_are_taken(tmp_path: Path) -> None:
    target = write_dataset(tmp_path, _class(GIVES + "return clip.bfloat16(), label"))
    assert examined(tmp_path, target, ["num=9"])[0] == 0


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str, tmp_path: Path) -> None:
    body, args, kind, message = PLANTED[name]
    if name == "a seed in each item":
        body += "return clip, label"
    code, findings = examined(
        tmp_path, write_dataset(tmp_path, _class(body)), args, num=3 if kind == "slow" else 32
    )
    assert code == 3
    found = [finding for finding in findings if finding["kind"] == kind]
    assert any(re.search(message, finding["message"]) for finding in found), findings
    assert all(finding["advice"] for finding in findings if finding["kind"] != "note")


RIGHT: dict[str, tuple[str, list[str]]] = {
    "a flip and brightness for each clip": ("", ["num=24", "num_frames=12", "size=48"]),
    "four videos": ("", ["num=4"]),
    "nothing moves": (VIDEO + "video[:] = video[:1]" + CLIP, ["num=9"]),
    "dark": (GIVES + "return clip * 0.02, label", ["num=9"]),
    "fast motion": (
        VIDEO + "video = np.random.default_rng(self.seeds[index]).integers(0, 256, video.shape).astype(np.uint8)" + CLIP,
        ["num=24", "num_frames=10"],
    ),
    "back and forth": (
        VIDEO + "video = video[[0, 4, 8, 11, 8, 4, 0, 4, 8, 11]]" + CLIP, ["num=24", "num_frames=12", "size=48"],
    ),
    "clips kept before random changes": (
        "kept = {}\ndef frames(self, index):\n    if (self.split, index) not in self.kept:\n        self.kept[self.split, index] = super().frames(index)\n"
        "    return self.kept[self.split, index]", ["num=9"],
    ),
    "a shuffle with a seed": (
        "def __init__(self, split='train', num=9):\n    super().__init__(split, num)\n    z = list(zip(self.seeds, self.labels))\n"
        "    random.Random(0).shuffle(z)\n    self.seeds, self.labels = map(list, zip(*z))", [],
    ),
    "a dark clip in bytes": (GIVES + "return (clip.clamp(0, 1) * 255).byte() // (130 if index == 2 else 1), label", ["num=9"]),
    "flow in pixels": (GIVES + "return (clip[:2] - 0.4) * 100, label", ["num=9"]),
    "bytes": (GIVES + "return (clip.clamp(0, 1) * 255).byte(), label", ["num=9"]),
    "a crop for each clip": (
        VIDEO + "y, x = (random.randint(0, 8), random.randint(0, 8)) if self.split == 'train' else (4, 4)\n"
        "    size = self.size - 8\n    video = video[:, y : y + size, x : x + size]" + CLIP,
        ["num=9", "num_frames=6", "size=56"],
    ),
    "a crop of another size for each clip": (
        VIDEO + "side = random.randint(24, 48) if self.split == 'train' else 48\n    corner = random.randint(0, 48 - side)\n"
        "    grid = np.linspace(corner, corner + side - 1, 40).astype(int)\n    video = video[:, grid][:, :, grid]" + CLIP,
        ["num=12", *LONG],
    ),
    "noise and frames at random": (
        VIDEO + "if self.split == 'train':\n        video = video[sorted(random.choices(range(12), k=8))]\n"
        "        video = (video + np.random.normal(0, 5, video.shape)).clip(0, 255).astype(np.uint8)\n"
        "    else:\n        video = video[2:10]" + CLIP,
        ["num=12", "num_frames=12", "size=48"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_in_a_right_data_set_nothing_is_found(name: str, tmp_path: Path) -> None:
    body, args = RIGHT[name]
    four = name == "four videos"
    target = write_dataset(tmp_path, _class(body or "pass") + ("    classes = ['a', 'b']\n" if four else ""))
    if four:
        Path(target.rpartition(":")[0]).write_text(
            Path(target.rpartition(":")[0]).read_text().replace("number % 3", "number % 2")
        )
    code, findings = examined(tmp_path, target, args)
    assert [finding for finding in findings if finding["kind"] != "note"] == []
    assert code == 0


REAL = '''
"""Frames of the course data."""

import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image


class Squares:
    def __init__(self, root, split="train", as_text=False):
        self.as_text, self.split = as_text, split
        folder = Path(root) / "frames" / split
        self.classes = sorted(path.name for path in folder.iterdir())
        self.videos = [video for name in self.classes for video in sorted((folder / name).iterdir())]
        self.labels = [self.classes.index(video.parent.name) for video in self.videos]

    def __len__(self):
        return len(self.videos)

    def __getitem__(self, index):
        paths = self.videos[index].glob("*.jpg")
        paths = sorted(paths) if self.as_text else sorted(paths, key=lambda path: int(path.stem.split("_")[-1]))
        clip = np.stack([np.asarray(Image.open(path).resize((64, 64))) for path in paths])
        if self.split == "train" and random.random() < 0.5:
            clip = clip[:, :, ::-1]
        return torch.from_numpy(clip.copy()).permute(3, 0, 1, 2), self.labels[index]
'''


@pytest.mark.parametrize("as_text", [False, True])
def test_real_frames(shared: Path, tmp_path: Path, as_text: bool) -> None:
    target = write_dataset(tmp_path, base=REAL)
    args = [f"root={shared / 'ufc10_frames'}", f"as_text={str(as_text).lower()}"]
    _, findings = examined(tmp_path, target, args, num=16)
    assert [finding["kind"] for finding in findings if finding["kind"] != "note"] == ["order"] * as_text


def test_videos_of_test_in_train_are_looked_for_when_asked(tmp_path: Path) -> None:
    body = "def __init__(self, split='train', num=6, log=None):\n    super().__init__(split, num, log=log)\n    if split == 'test':\n        self.seeds[2] = 2"
    target, log = write_dataset(tmp_path, _class(body)), tmp_path / "log"
    words = ["data", "doctor", target, "--store-dir", str(tmp_path / "store"), "--args", f"log={log}"]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, "nothing wrong was found" in done.output) == (0, True), done.output
    assert "test" not in log.read_text().split()
    done = CliRunner().invoke(app, [*words, "--test"])
    assert done.exit_code == 3
    assert "test[2] = train[2]" in done.output


def test_what_a_data_set_prints_is_not_in_the_json_and_the_clips_are_described(tmp_path: Path) -> None:
    body = GIVES + "print('loading', index)\n    return (clip.clamp(0, 1) * 255).byte(), label"
    code, findings = examined(tmp_path, write_dataset(tmp_path, _class(body)), ["num=9"])
    assert code == 0
    notes = [finding["message"] for finding in findings]
    assert any(
        re.match(r"clips are uint8 \[3, 4, 24, 24\] from \d+ to 255: clip.frames=4 clip.size=\[24,24\]$", one)
        for one in notes
    )


def test_what_cannot_be_loaded_is_the_users_mistake(tmp_path: Path) -> None:
    target = write_dataset(tmp_path)
    for words, message in (
        ([f"{target}x"], "did you mean Squares?"),
        ([target, "--args", "nun=3"], "did you mean data.args.num?"),
        (["nothing:Here"], "is found neither in"),
    ):
        done = CliRunner().invoke(app, ["data", "doctor", *words])
        assert message in done.output, done.output
        assert done.exit_code == 2
