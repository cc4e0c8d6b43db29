"""Manifest of a data set of the user: its items with labels, splits and groups. Their pixels are not in it.

The data set is made once for train and once for val. For test it is only made by an evaluation of the test
split, see `with_test`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from vidcls.choices import Split
from vidcls.data.digests import Progress
from vidcls.data.listing.listing import Problem
from vidcls.data.splits import classes_without_videos, unusable_whole, with_val
from vidcls.data.user_dataset.attributes import classes_of, each_of
from vidcls.data.user_dataset.construct import DatasetCode
from vidcls.data.videos import Item, Manifest, Video
from vidcls.errors import UserError
from vidcls.files import write_json
from vidcls.json_files import DamagedError, read_json
from vidcls.spec.data import DataSection
from vidcls.user_code.load import USER_ERRORS

LAYOUT = "dataset"
_LABELS = TypeAdapter(list[int])


@dataclass(frozen=True)
class Part:
    """Data set of one split.

    Attributes:
        split: Split with which it was made; None for a target without `split`.
        labels: Label of each item.
        classes: Names of the classes, if it names them.
        groups: Group of each item, if it has groups.
        ids: Id of each item.
    """

    split: Split | None
    labels: Sequence[int]
    classes: tuple[str, ...] | None
    groups: Sequence[str | None] | None
    ids: Sequence[str]


def read_dataset(section: DataSection, *, cache_dir: Path | None, progress: Progress | None) -> Manifest:
    """Make the data set for train and val, and list its items.

    Args:
        section: Data section with the target.
        cache_dir: Folder of the cache of labels, for data sets without the attribute `labels`.
        progress: Called with (done, total) while items are read for their labels.

    Raises:
        UserError: If the data set cannot be made, or something about its items is wrong.
    """
    dataset = DatasetCode.of(section)
    splits: list[Split | None] = ["train", "val"] if dataset.takes_split else [None]
    parts = [read_part(dataset, split, cache_dir=cache_dir, progress=progress) for split in splits]
    classes = _common_classes(dataset, parts)
    videos = [video for part in parts for video in _videos(dataset, part)]
    _refuse_doubles(dataset, videos)
    has_val = any(video.split == "val" for video in videos)
    problems: list[Problem] = []
    if has_val and section.val_fraction is not None:
        raise UserError(
            f"data.val_fraction: {section.val_fraction} has no effect here: {section.target} has a val split",
            hint="leave data.val_fraction out",
        )
    if not has_val:
        videos = with_val(videos, section.val_fraction, problems)
    problems += unusable_whole(videos, classes, has_val=has_val)
    problems += classes_without_videos(videos, classes)
    return Manifest(
        root=Path(dataset.code.target),
        layout=LAYOUT,
        classes=classes,
        videos=tuple(sorted(videos, key=lambda video: video.id)),
        problems=tuple(problems),
        val_is_cut=not has_val,
    )


def with_test(
    manifest: Manifest, section: DataSection, *, cache_dir: Path | None, progress: Progress | None = None
) -> Manifest:
    """Manifest with the items of the test split too; it has the same hash.

    Args:
        manifest: Manifest of a data root, which is not changed, or of a data set of the user.
        section: Its data section.
        cache_dir: Folder of the cache of labels.
        progress: Called with (done, total) while items are read for their labels.

    Raises:
        UserError: If the data set has no test split, or something about its items is wrong.
    """
    if section.target is None:
        return manifest
    dataset = DatasetCode.of(section)
    if not dataset.takes_split:
        raise UserError(
            f"{section.target}: has no test split, because it takes no argument `split`",
            hint='write it so that it takes split="train", "val" or "test"',
        )
    test = read_part(dataset, "test", cache_dir=cache_dir, progress=progress)
    _common_classes(dataset, [test], known=manifest.classes)
    own = [video.group is not None for video in manifest.videos]
    if all(own) and own and test.groups is None:
        raise UserError(
            f'{section.target}: has `groups` for train and val, but not for split="test"',
            hint="give groups for all splits; without them nobody knows whether test leaks",
        )
    videos = [*manifest.videos, *_videos(dataset, test)]
    _refuse_doubles(dataset, videos)
    return replace(manifest, videos=tuple(sorted(videos, key=lambda video: video.id)))


def read_part(
    dataset: DatasetCode, split: Split | None, *, cache_dir: Path | None, progress: Progress | None
) -> Part:
    """Make the data set of a split, and read what it says about its items.

    Raises:
        UserError: If it cannot be made, or an attribute is wrong.
    """
    made = dataset.make(split)
    where = dataset.code.target if split is None else f"{dataset.code.target}(split={split!r})"
    try:
        classes = classes_of(made, where)
        groups = each_of(made, "groups", where, read=_group)
        ids = each_of(made, "ids", where, read=str)
        labels = each_of(made, "labels", where, read=lambda label: label)
        size = len(made)
    except USER_ERRORS as error:
        raise dataset.explained(error, split) from error
    if labels is None:
        labels = _labels_read(dataset, made, split, cache_dir=cache_dir, progress=progress)
    else:
        labels = [_label(label, f"{where}.labels[{index}]", classes) for index, label in enumerate(labels)]
    named = ids or [f"{split or 'item'}/{index}" for index in range(size)]
    return Part(split, labels, classes, groups, named)


def _group(group: Any) -> str | None:
    """Group as text; None where it is missing, as pandas writes that too."""
    missing = group is None or type(group).__name__ == "NAType" or group != group
    return None if missing else str(group)


def _label(label: Any, where: str, classes: Sequence[str] | None) -> int:
    from vidcls.data.user_dataset.checked import checked_label  # loads torch, as the user's code does

    return checked_label(label, where, num_classes=None if classes is None else len(classes))


def _labels_read(
    dataset: DatasetCode,
    made: Any,
    split: Split | None,
    *,
    cache_dir: Path | None,
    progress: Progress | None,
) -> list[int]:
    """Labels of all items, read once and cached by code, arguments and number of items."""
    from vidcls.data.user_dataset.checked import parts_of
    from vidcls.data.user_dataset.seeding import seeded

    file = None
    if cache_dir is not None:
        file = _labels_file(dataset, split, len(made), cache_dir=cache_dir)
        try:
            return read_json(file, _LABELS, hint="remove it")
        except (FileNotFoundError, DamagedError):
            pass
    labels: list[int] = []
    for index in range(len(made)):
        item = Item(split, index)
        where = f"{dataset.code.target} {item}"
        try:
            with seeded(split or "", index):
                _, label = parts_of(made[index], where)
        except USER_ERRORS as error:
            raise dataset.explained(error, str(item)) from error
        labels.append(_label(label, where, None))
        if progress is not None:
            progress(index + 1, len(made))
    if file is not None:
        write_json(file, labels)
    return labels


def cached_labels(dataset: DatasetCode, split: Split | None, *, cache_dir: Path) -> Path | None:
    """File with the labels that were read from a data set before; None if there is none.

    Raises:
        UserError: If the data set cannot be made.
    """
    file = _labels_file(dataset, split, len(dataset.make(split)), cache_dir=cache_dir)
    return file if file.is_file() else None


def _labels_file(dataset: DatasetCode, split: Split | None, size: int, *, cache_dir: Path) -> Path:
    return cache_dir / "dataset_labels" / f"{_digest(dataset, split, size)}.json"


def _videos(dataset: DatasetCode, part: Part) -> Iterator[Video]:
    groups = part.groups or [None] * len(part.labels)
    rows = zip(part.ids, part.labels, groups, strict=True)
    for index, (name, label, group) in enumerate(rows):
        digest = _digest(dataset, part.split, index)
        item = Item(part.split, index)
        split = part.split or "train"
        yield Video(name, dataset.code.file, label, split, group, digest, has_frames=False, item=item)


def _digest(dataset: DatasetCode, *key: Any) -> str:
    content = [dataset.code.identity, dataset.args, *key]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _common_classes(
    dataset: DatasetCode, parts: Sequence[Part], *, known: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """Classes that all splits have, by label; refuse splits that name or number them in other ways."""
    target = dataset.code.target
    named = {part.split: part.classes for part in parts if part.classes is not None and part.labels}
    if known is not None and named:
        named = {"train": known, **named}
    orders = list(named.items())
    for split, classes in orders[1:]:
        if classes != orders[0][1]:
            label, ours, others = _first_difference(orders[0][1], classes)
            raise UserError(
                f"{target}: label {label} is {ours} for split={orders[0][0]!r}, but {others} for "
                f"split={split!r}",
                hint="sort the names of the classes once, for all splits",
            )
    highest = max((label for part in parts for label in part.labels), default=-1)
    classes = known or (orders[0][1] if orders else tuple(str(label) for label in range(highest + 1)))
    if highest >= len(classes):
        raise UserError(
            f"{target}: the label {highest} has no class; there are {len(classes)} classes, from label 0",
            hint="number the classes from 0, in the order of the attribute `classes`",
        )
    return classes


def _first_difference(first: Sequence[str], other: Sequence[str]) -> tuple[int, str, str]:
    for label in range(max(len(first), len(other))):
        ours, others = (repr(names[label]) if label < len(names) else "no class" for names in (first, other))
        if ours != others:
            return label, ours, others
    raise AssertionError("they differ")


def _refuse_doubles(dataset: DatasetCode, videos: Sequence[Video]) -> None:
    name, count = Counter(video.id for video in videos).most_common(1)[0] if videos else ("", 0)
    if count > 1:
        items = [str(video.item) for video in videos if video.id == name]
        raise UserError(
            f"{dataset.code.target}.ids: {name!r} is the id of {' and '.join(items[:3])}",
            hint="give each item an id of its own, over all splits",
        )
