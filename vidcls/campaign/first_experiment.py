"""First experiment on the user's own videos: a shipped recipe with settings adapted to the data."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from vidcls.choices import SPLITS
from vidcls.data.batches.augment.flip import flip_map
from vidcls.data.decoding.frame_folders import look_into
from vidcls.data.scan import Scan
from vidcls.errors import UserError
from vidcls.leaks.run_state import audit_command, leak_warning
from vidcls.leaks.state import LeakState
from vidcls.models.weights.catalogue import resolve, weights_dir_of
from vidcls.spec.experiment import Spec
from vidcls.spec.load import load_spec

RecipeName = Literal["few_videos", "few_videos_finetune"]
_MAX_SHORT = 0.05
"""Maximum share of videos that are too short for the clip, so that their frames are repeated."""
_STEPS_EACH_EPOCH = 4
"""Minimum steps per epoch for few videos: with fewer, the recipe would have too few steps in all."""
_MAX_SHOWN = 5


@dataclass(frozen=True)
class FirstExperiment:
    """Experiment file that is not written yet.

    Attributes:
        text: YAML of the experiment.
        remarks: Lines for the user about the experiment.
        missing_weights: Missing pretrained weights, by their names in `vidcls weights fetch`.
    """

    text: str
    remarks: tuple[str, ...]
    missing_weights: tuple[str, ...]


def first_experiment(
    scan: Scan, *, name: str, recipe: RecipeName, shipped: Path, leaks: LeakState, store_dir: Path
) -> FirstExperiment:
    """Make an experiment from a recipe that runs on the data without changes.

    Args:
        scan: Scan of the data; its root is written as an absolute path, valid from any folder.
        name: Name of the experiment.
        recipe: Name of the shipped experiment.
        shipped: Folder of the shipped experiments.
        leaks: Known leak state of the data.
        store_dir: Folder of stores and weights of the experiment.

    Raises:
        UserError: If the data cannot be used for training, or a requirement of the recipe is missing.
    """
    root = str(scan.manifest.root.expanduser().absolute())
    _refuse_unusable(scan, root)
    file = shipped / f"{recipe}.yaml"
    base = load_spec(file).spec
    spec = base.model_copy(update={"name": name, "data": base.data.model_copy(update={"root": root})})
    settings = {"name": _scalar(name), "root": _scalar(root)}
    remarks = [_about(scan)]
    frames, remark = _frames(scan, spec)
    settings["frames"] = str(frames)
    remarks += remark
    batch_size = _batch_size(len(scan.manifest.split("train")), largest=spec.train.batch_size)
    settings["batch_size"] = str(batch_size)
    if spec.augment.flip and (sided := _is_sided(scan, spec)):
        settings["flip"] = "0.0"
        remarks.append(f"clips are not mirrored: {sided}")
    remarks += _listed([str(problem) for problem in scan.problems])
    remarks += _leaks(leaks, spec)
    text = _with(file.read_text(encoding="utf-8"), settings)
    return FirstExperiment(
        text=_with_head(text, [f"Written by `vidcls init` from the recipe {recipe} for {root}", *remarks]),
        remarks=tuple(remarks),
        missing_weights=_missing_weights(spec, store_dir),
    )


def _refuse_unusable(scan: Scan, root: str) -> None:
    manifest = scan.manifest
    try:
        root.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"--data: {root!r} is not UTF-8, so a YAML file cannot contain it",
            hint="give the folder another name",
        ) from None
    if fatal := [problem for problem in scan.problems if problem.fatal]:
        raise UserError(
            "\n  ".join([f"--data: {root} cannot be trained on as it is:", *_listed(list(map(str, fatal)))]),
            hint=f"`vidcls data scan {shlex.quote(root)}` shows all problems; with --write-manifest "
            "usable.csv it "
            "writes a list of the usable videos for --data usable.csv",
        )
    first = manifest.videos[0].path
    if first.is_dir() and look_into(first).only_fields:
        raise UserError(
            f"--data: {root} has optical flow but no frames, for which there is no recipe",
            hint="use early_fusion_flow.yaml (written by vidcls init DIR) with data.source=flows",
        )


def _listed(lines: Sequence[str]) -> list[str]:
    """First few of many lines."""
    more = [f"and {len(lines) - _MAX_SHOWN} more, shown by `vidcls data scan`"]
    return [*lines[:_MAX_SHOWN], *(more if len(lines) > _MAX_SHOWN else [])]


def _about(scan: Scan) -> str:
    """Description of the data in one line."""
    manifest = scan.manifest
    counts = {split: len(manifest.split(split)) for split in SPLITS}
    splits = ", ".join(f"{number} {split}" for split, number in counts.items() if number)
    parts = [f"{manifest.num_classes} classes", f"{len(manifest.videos)} videos ({splits})"]
    sizes = list(scan.sizes())
    parts.append(sizes[0] + (f" and {len(sizes) - 1} other sizes" if len(sizes) > 1 else ""))
    if (lengths := scan.ranges().get("num_frames")) is not None:
        reach = f"{lengths.min:g} to {lengths.max:g} frames (median {lengths.median:g})"
        parts.append(reach if lengths.num_distinct > 1 else f"{lengths.min:g} frames each")
    return f"{manifest.layout}: {', '.join(parts)}"


def _frames(scan: Scan, spec: Spec) -> tuple[int, list[str]]:
    """`clip.frames` and remarks: the value of the recipe if almost all videos have that many frames."""
    wanted, motion = spec.clip.frames, int(spec.clip.has_motion)
    known = {name: h.num_frames - motion for name, h in scan.headers.items() if h.num_frames is not None}
    if too_short := sorted(name for name, number in known.items() if number < 1):
        raise UserError(
            f"--data: {_videos(len(too_short), 'has', 'have')} only one frame, such as {too_short[0]}",
            hint="leave these out: write a CSV `path,label,split` with the other videos",
        )
    if not known:
        return wanted, []
    lengths = list(known.values())
    frames = min(wanted, max(2, int(np.quantile(lengths, _MAX_SHORT, method="lower"))))
    remarks = []
    if frames < wanted:
        have = "differences" if motion else "frames"
        remarks.append(
            f"clip.frames is {frames}, not {wanted} as in the recipe, because short videos have fewer {have}"
        )
    if num_short := sum(length < frames for length in lengths):
        remarks.append(
            f"{_videos(num_short, 'is', 'are')} too short for clip.frames {frames}, so frames are repeated"
        )
    return frames, remarks


def _videos(number: int, one: str, many: str) -> str:
    return f"1 video {one}" if number == 1 else f"{number} videos {many}"


def _batch_size(num_train: int, *, largest: int) -> int:
    """Batch size, halved until an epoch has a few steps, but at least 16, since heads use batch norm."""
    size = largest
    while size > 16 and size * _STEPS_EACH_EPOCH > num_train:
        size //= 2
    return max(2, min(size, num_train))


def _is_sided(scan: Scan, spec: Spec) -> str | None:
    try:
        flip_map(spec.augment, flip_labels=None, classes=scan.manifest.classes)
    except UserError as error:
        return f"{error.message.partition(': ')[2]}; {error.hint}"
    return None


def _leaks(leaks: LeakState, spec: Spec) -> Sequence[str]:
    if (warning := leak_warning(leaks, spec)) is not None:
        return warning.splitlines()
    if leaks.kind == "unknown":
        found = "it is not known whether videos of train have relatives in val or test"
        return (f"{found}; `{audit_command(spec)}` looks for them",)
    return ("no video of val or test has a relative in train",)


def _missing_weights(spec: Spec, store_dir: Path) -> tuple[str, ...]:
    missing = []
    for single in spec.model.singles():
        if single.weights is not None:
            weights = resolve(single.backbone, single.weights)
            if not weights.file(weights_dir_of(store_dir)).is_file():
                missing.append(weights.label)
    return tuple(dict.fromkeys(missing))


def _scalar(text: str) -> str:
    """Text as a YAML scalar."""
    return yaml.safe_dump(text, allow_unicode=True, width=10**6).removesuffix("\n").removesuffix("\n...")


def _with(text: str, settings: Mapping[str, str]) -> str:
    """YAML text with replaced settings, each on the line of its key; a comment on that line is removed."""
    lines, found = [], []
    for line in text.splitlines():
        key = re.match(r"( *)(\w+):", line)
        if key is not None and key[2] in settings:
            found.append(key[2])
            line = f"{key[1]}{key[2]}: {settings[key[2]]}"
        lines.append(line)
    assert sorted(found) == sorted(settings), found
    return "\n".join([*lines, ""])


def _with_head(text: str, lines: Sequence[str]) -> str:
    """YAML text with comments after its first line, which gives the schema to editors."""
    schema, _, rest = text.partition("\n")
    plain = ("".join(char if char.isprintable() else "?" for char in line) for line in lines)
    return "\n".join([schema, *(f"# {line}" for line in plain), "#", rest])
