"""Labels: classes without items, and labels that differ from those that are listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vidcls.data.doctor.draws import Sample
from vidcls.data.doctor.finding import DatasetFinding, named
from vidcls.data.videos import Manifest


def check_classes(manifest: Manifest) -> Iterator[DatasetFinding]:
    """Find classes without items in train or val, and data with a single class.

    Args:
        manifest: Manifest of the data set.
    """
    for problem in manifest.problems:
        if problem.fatal:
            yield DatasetFinding("labels", problem.message, "give train and val items of two classes or more")
    for split in ("train", "val"):
        count = Counter(video.label for video in manifest.split(split))
        without = [name for label, name in enumerate(manifest.classes) if not count[label]]
        if without and count:
            yield DatasetFinding(
                "labels",
                f"{len(without)} of {manifest.num_classes} classes have no item in {split}: {named(without)}",
                "number the classes from 0 without gaps, and give each split items of each class",
            )


def check_listed(samples: Sequence[Sample], manifest: Manifest) -> Iterator[DatasetFinding]:
    """Find items that give another label than the attribute `labels` lists.

    Args:
        samples: Items of a split.
        manifest: Manifest of the data set.
    """
    listed = {video.item: video.label for video in manifest.videos}
    other = [
        f"{sample.item} gives {sample.label}, listed is {listed[sample.item]}"
        for sample in samples
        if sample.label is not None and listed.get(sample.item, sample.label) not in _labels(sample)
    ]
    if other:
        yield DatasetFinding(
            "labels",
            f"the attribute `labels` is not what the items give: {named(other)}",
            "make both from the same list, in the same order",
        )


def _labels(sample: Sample) -> set[int | None]:
    return {draw.label for draw in sample.draws}
