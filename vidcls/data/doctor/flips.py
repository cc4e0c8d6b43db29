"""Mirrored clips of classes whose names say left or right, with an unchanged label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vidcls.data.batches.augment.flip import mirrored_name
from vidcls.data.doctor.draws import Draw, Sample, usable
from vidcls.data.doctor.finding import DatasetFinding, named
from vidcls.data.doctor.pictures import correlation, mirrored

_CHANNELS = (1, 3)  # those of a picture; a flow field also changes its values


def check_flips(samples: Sequence[Sample], classes: Sequence[str]) -> Iterator[DatasetFinding]:
    """Find items of sided classes that are mirrored in one draw and not in another, with the same label.

    Args:
        samples: Items of the training split, under several seeds.
        classes: Class names by label.
    """
    sided = {label for label, name in enumerate(classes) if mirrored_name(name) != name}
    turned = [
        sample
        for sample in usable(samples)
        if sample.label in sided and sample.first.shape[0] in _CHANNELS and _is_turned(sample)
    ]
    if turned:
        names = sorted({classes[sample.label] for sample in turned if sample.label is not None})
        yield DatasetFinding(
            "flip",
            f"{named([sample.item for sample in turned])} are mirrored in some draws, with an unchanged "
            f"label: a mirror changes the class of {', '.join(names)}",
            "do not flip these classes, or return the label of the other side, and set data.flip_labels",
        )


def _is_turned(sample: Sample) -> bool:
    return any(
        other.label == sample.label and are_mirrored(sample.first, other) for other in sample.draws[1:]
    )


def are_mirrored(first: Draw, other: Draw) -> bool:
    """Whether two answers for an item show the same, one of them mirrored."""
    assert first.grey is not None
    assert other.grey is not None
    plain, crossed = correlation(first.grey, other.grey), correlation(first.grey, mirrored(other.grey))
    return crossed > 0.9 and crossed - plain > 0.1
