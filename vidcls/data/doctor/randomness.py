"""Random numbers where there should be none, generators that vidcls cannot seed, and seeds of the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vidcls.choices import Split
from vidcls.data.doctor.draws import Sample
from vidcls.data.doctor.finding import DatasetFinding, named

_LEAST_ITEMS = 2


def check_evaluation(samples: Sequence[Sample], split: Split) -> Iterator[DatasetFinding]:
    """Find items of val or test whose clip or label depends on random numbers.

    Args:
        samples: Items of the split, under several seeds.
        split: Split.
    """
    varied = [
        sample.item
        for sample in samples
        if len({(draw.digest, draw.label) for draw in (*sample.draws, sample.again)}) > 1
    ]
    if varied:
        yield DatasetFinding(
            "evaluation",
            f"{len(varied)} of {len(samples)} {split} items differ when read again: {named(varied)}",
            'augment and sample at random only if split == "train"',
        )


def check_generators(samples: Sequence[Sample]) -> Iterator[DatasetFinding]:
    """Find random numbers of a generator of the data set's own, and global seeds that it sets.

    vidcls seeds the generators of Python, NumPy and torch before each item. So under the same seed, a right
    data set gives the same clip; and afterwards the generators depend on that seed.

    Args:
        samples: Items of the training split, under several seeds.
    """
    varied = [
        sample.item
        for sample in samples
        if (sample.first.digest, sample.first.label) != (sample.again.digest, sample.again.label)
    ]
    if len(varied) >= min(_LEAST_ITEMS, len(samples)) and varied:
        yield DatasetFinding(
            "randomness",
            f"under the same seeds of Python, NumPy and torch, {named(varied)} differ when read twice: their "
            "random numbers come from a generator of the data set's own, which begins with the same numbers "
            "in each worker, and is not restored when a training resumes",
            "draw from random, np.random or torch in __getitem__: vidcls seeds them for each item and epoch",
        )
    for name in ("random", "NumPy", "torch"):
        fixed = [
            sample.item
            for sample in samples
            if len({draw.states.get(name) for draw in sample.draws}) == 1 and sample.first.states
        ]
        if len(fixed) >= min(_LEAST_ITEMS, len(samples)) and fixed:
            yield DatasetFinding(
                "randomness",
                f"the generator of {name} is in the same state after {named(fixed)}, whatever it was seeded "
                "with before: the data set seeds it, so each epoch draws the same random numbers",
                "remove the seed: vidcls seeds the generators for each item and epoch",
            )
