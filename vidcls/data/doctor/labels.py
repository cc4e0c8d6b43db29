"""Labels: classes without items, and labels that differ from those that are listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vidcls.data.batches.augment.flip import mirrored_name
from vidcls.data.doctor.draws import Answer
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


def check_listed(answers: Sequence[Answer], manifest: Manifest) -> Iterator[DatasetFinding]:
    """Find items that give another label than the attribute `labels` lists.

    Args:
        answers: Items of a split.
        manifest: Manifest of the data set.
    """
    listed = {video.item: video.label for video in manifest.videos}
    names = manifest.classes
    other = []
    for answer in answers:
        label = answer.first.label
        known = listed.get(answer.item, label)
        if label is None or known is None or known in answer.labels:
            continue
        if max(label, known) < len(names) and names[label] == mirrored_name(names[known]) != names[known]:
            continue  # a mirrored clip
        other.append(f"{answer.item} gives {label}, listed is {known}")
    if other:
        yield DatasetFinding(
            "labels",
            f"the attribute `labels` is not what the items give: {named(other)}",
            "make both from the same list, in the same order",
        )
