"""Examines a data set of the user: reads some items of each split, and applies every check to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vidcls.choices import Split
from vidcls.data.doctor.draws import Answer, Draw, Reader, Sample, spread
from vidcls.data.doctor.finding import DatasetFinding, FindingKind, merged
from vidcls.data.doctor.flips import check_flips
from vidcls.data.doctor.labels import check_classes, check_listed
from vidcls.data.doctor.order import Order, check_order, order_of
from vidcls.data.doctor.per_frame import check_per_frame
from vidcls.data.doctor.randomness import check_evaluation, check_generators, check_made_twice
from vidcls.data.doctor.same_video import Look, check_leak, check_same, look_at
from vidcls.data.doctor.shapes import check_shapes, describe
from vidcls.data.doctor.speed import check_speed, slowdown_now
from vidcls.data.doctor.values import check_constant, check_values
from vidcls.data.user_dataset.construct import DatasetCode
from vidcls.data.user_dataset.manifest import read_dataset, with_test
from vidcls.data.videos import Item, Manifest
from vidcls.errors import UserError
from vidcls.spec.data import DataSection

_TRAIN_DRAWS, _HELD_OUT_DRAWS = 3, 2
_MOST_FAILURES = 3
_SEARCH_S = 60.0
"""Time in which further items are read to look for the same videos."""


@dataclass(frozen=True)
class Examination:
    """Result of examining a data set.

    Attributes:
        target: Target of the data set.
        num_items: Number of items by split.
        num_tried: Number of these that were read several times.
        num_compared: Number of these that were compared with each other.
        findings: Mistakes, then notes.
    """

    target: str
    num_items: Mapping[Split, int]
    num_tried: Mapping[Split, int]
    num_compared: Mapping[Split, int]
    findings: tuple[DatasetFinding, ...]

    @property
    def mistakes(self) -> tuple[DatasetFinding, ...]:
        """Findings that ask for a change."""
        return tuple(finding for finding in self.findings if finding.is_mistake)

    def as_dict(self) -> dict[str, Any]:
        """All attributes as plain values for JSON."""
        return asdict(self)


@dataclass
class _Read:
    """What was read of the data set of each split."""

    readers: dict[Split, Reader] = field(default_factory=dict)
    samples: dict[Split, list[Sample]] = field(default_factory=dict)
    answers: dict[Split, list[Answer]] = field(default_factory=dict)
    looks: dict[Split, list[Look]] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    slowdowns: list[float] = field(default_factory=list)
    failures: list[DatasetFinding] = field(default_factory=list)
    unlike: list[DatasetFinding] = field(default_factory=list)
    num_failed: int = 0


def examine(
    section: DataSection,
    *,
    num: int,
    test: bool,
    store_dir: Path,
    progress: Callable[[str, int, int], None],
) -> Examination:
    """Read items of a data set of the user, and find what is wrong with them.

    Args:
        section: Data section with the target.
        num: Number of items to read several times, of each split.
        test: Look for videos of the test split in train, too.
        store_dir: Folder of the cache of labels.
        progress: Called with (stage, done, total).

    Raises:
        UserError: If the code of the target cannot be loaded, or does not take the arguments.
    """
    code = DatasetCode.of(section)
    splits: list[Split] = ["train", "val", "test"] if test else ["train", "val"]
    if not code.takes_split:
        splits = ["train"]
    code.arguments(
        splits[0] if code.takes_split else None
    )  # what is misspelt there is not the code's mistake
    read = _Read()
    for split in splits:
        _read_split(code, split, read, num=num, progress=progress)
    manifest = None
    try:
        manifest = _manifest(section, store_dir, test=test, progress=progress)
    except UserError as error:
        read.failures.append(_of_error(error))
    _search(read, progress=progress)
    problems = (one.problem for answers in read.answers.values() for one in answers)
    failures = [*read.failures, *(_of_error(problem) for problem in problems if problem is not None)]
    findings = [*merged(failures), *_checked(read, manifest, takes_split=code.takes_split)]
    return Examination(
        target=code.code.target,
        num_items={split: len(reader.made) for split, reader in read.readers.items()},
        num_tried={split: len(samples) for split, samples in read.samples.items()},
        num_compared={split: len(looks) for split, looks in read.looks.items()},
        findings=tuple(sorted(findings, key=lambda finding: not finding.is_mistake)),
    )


def _manifest(
    section: DataSection, store_dir: Path, *, test: bool, progress: Callable[[str, int, int], None]
) -> Manifest:
    counted = partial(progress, "read labels")
    manifest = read_dataset(section, cache_dir=store_dir, progress=counted)
    return with_test(manifest, section, cache_dir=store_dir, progress=counted) if test else manifest


def _read_split(
    code: DatasetCode,
    split: Split,
    read: _Read,
    *,
    num: int,
    progress: Callable[[str, int, int], None],
) -> None:
    """Make the data set of a split, and read some of its items several times."""
    own = split if code.takes_split else None
    try:
        made = code.make(own)
    except UserError as error:
        read.failures.append(DatasetFinding("fails", error.message, error.hint or _FAILS))
        return
    reader = read.readers[split] = Reader(code, made, own)
    samples = read.samples[split] = []
    chosen = spread(len(made), num)
    failed = 0
    for done, index in enumerate(chosen, start=1):
        try:
            num_draws = _TRAIN_DRAWS if split == "train" else _HELD_OUT_DRAWS
            sample = reader.sample(index, num_draws=num_draws)
        except UserError as error:
            read.failures.append(_failure(error, index, len(made)))
            read.num_failed += 1
            failed += 1
            if failed == _MOST_FAILURES:
                return
            continue
        samples.append(sample)
        if any(draw.problem is not None for draw in sample.draws):
            failed += 1
            if failed == _MOST_FAILURES:
                return
        if split == "train" and done % 4 == 1:
            read.slowdowns.append(slowdown_now())
        progress(f"read {split}", done, len(chosen))
    try:
        read.unlike += check_made_twice(reader, samples)
    except UserError as error:
        read.failures.append(
            DatasetFinding("fails", f"{error.message}, when it is made again", error.hint or _FAILS)
        )


def _of_error(error: UserError) -> DatasetFinding:
    """Finding of an error in what the data set says or gives, or in the user's code itself."""
    if error.__cause__ is not None and not isinstance(error.__cause__, UserError):
        return DatasetFinding("fails", error.message, error.hint or _FAILS)
    words: dict[FindingKind, tuple[str, ...]] = {
        "labels": ("label ", ".labels", ".classes", ".ids"),
        "values": ("NaN", "empty"),
        "shape": ("the clip", "expected (clip"),
    }
    kinds = (kind for kind, of_kind in words.items() if any(word in error.message for word in of_kind))
    return DatasetFinding(next(kinds, "fails"), error.message, error.hint or _FAILS)


_FAILS = "correct it, or leave the item out of the data set"


def _failure(error: UserError, index: int, size: int) -> DatasetFinding:
    if "IndexError" in error.message and index == size - 1:
        return DatasetFinding(
            "fails",
            f"{error.message}: the last index fails, as if __len__, which is {size}, were too large",
            "let __len__ be the length of the list that __getitem__ reads from",
        )
    return DatasetFinding("fails", error.message, error.hint or _FAILS)


def _search(read: _Read, *, progress: Callable[[str, int, int], None]) -> None:
    """Look at the items that were read, and at further ones as long as there is time."""
    until = time.monotonic() + _SEARCH_S
    for split, samples in read.samples.items():
        reader = read.readers[split]
        read.answers[split], read.looks[split] = [], []
        for sample in samples:
            _keep(read, split, sample.item, sample.draws)
        known = {sample.item.index for sample in samples}
        more = [index for index in range(len(reader.made)) if index not in known]
        # In a random order, so that what there is time for is taken from all over the data set.
        for done, index in enumerate(np.random.default_rng(0).permutation(more).tolist(), start=1):
            if time.monotonic() > until or read.num_failed >= _MOST_FAILURES:
                break
            try:
                _keep(read, split, reader.item(index), [reader.read(index, 0)])
            except UserError as error:
                read.failures.append(_failure(error, index, len(reader.made)))
                read.num_failed += 1
            progress(f"compare {split}", done, len(more))
        for found in (read.answers[split], read.looks[split]):
            found.sort(key=lambda one: one.item.index)


def _keep(read: _Read, split: Split, item: Item, draws: Sequence[Draw]) -> None:
    """Keep what the checks need of the answers of an item; its small frames are only used here."""
    read.answers[split].append(Answer.of(item, draws))
    if (look := look_at(item, draws[0])) is not None:
        read.looks[split].append(look)
    if (order := order_of(item, draws[0])) is not None:
        read.orders.append(order)


def _checked(read: _Read, manifest: Manifest | None, *, takes_split: bool) -> Iterator[DatasetFinding]:
    samples = read.samples
    train = samples.get("train", [])
    yield from describe([answer for answers in read.answers.values() for answer in answers])
    yield from check_shapes([answer for answers in read.answers.values() for answer in answers])
    yield from check_values(read.answers)
    for split, answers in read.answers.items():
        yield from check_constant(answers)
        if split != "train":
            yield from check_evaluation(samples[split], split)
        if manifest is not None and not read.unlike:  # its labels are those of a data set made again
            yield from check_listed(answers, manifest)
    if manifest is not None:
        yield from check_classes(manifest)
        yield from check_flips(train, manifest.classes)
        if manifest.val_is_cut:
            yield from _check_cut(train, takes_split=takes_split)
    yield from check_order(read.orders)
    yield from check_per_frame(train, samples.get("val", []))
    yield from check_generators(train)
    yield from read.unlike
    for looks in read.looks.values():
        yield from check_same(looks)
    yield from check_leak(read.looks, manifest)
    slowdown = float(np.median(read.slowdowns)) if read.slowdowns else 1.0
    num_train = len(read.readers["train"].made) if "train" in read.readers else 0
    yield from check_speed(train, num_train=num_train, slowdown=slowdown)


def _check_cut(train: Sequence[Sample], *, takes_split: bool) -> Iterator[DatasetFinding]:
    """Find random numbers in items of which some become val."""
    if any(len({draw.digest for draw in sample.draws}) > 1 for sample in train):
        why = "split='val' is empty" if takes_split else "it takes no argument `split`"
        yield DatasetFinding(
            "evaluation",
            f"val is cut from train, since {why}, and these items differ when read again: val is augmented "
            "too",
            'take the argument `split`, and augment only if split == "train"',
        )
