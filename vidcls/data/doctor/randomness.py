"""Random numbers where there should be none, generators that vidcls cannot seed, and seeds of the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vidcls.choices import Split
from vidcls.data.doctor.draws import Reader, Sample
from vidcls.data.doctor.finding import DatasetFinding, named

_LEAST_ITEMS = 2
_MOST_AGAIN = 8
"""Items that are read again from a data set that is made again."""


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


def check_made_twice(reader: Reader, samples: Sequence[Sample]) -> list[DatasetFinding]:
    """Make the data set again, and find items that are others then, or that it keeps in its memory.

    Items are read from it under the first and the second seed, in turn. If those under the first are others,
    it is made with random numbers; if only the others are, and the first data set gave them whatever the
    seed was, then it had kept its first answers.

    Args:
        reader: Reader of the first data set, of which the items were read.
        samples: Its items.

    Raises:
        UserError: If it cannot be made again, or an item fails.
    """
    again = Reader(reader.code, reader.code.make(reader.split), reader.split)
    name = "the data set" if reader.split is None else f"the {reader.split} data set"
    if (sizes := [len(one.made) for one in (reader, again)])[0] != sizes[1]:
        return [_made_otherwise(f"{name} has {sizes[0]} items, and {sizes[1]} when made again")]
    other, kept = [], []
    stable = [one for one in samples if (one.first.digest, one.label) == (one.again.digest, one.again.label)]
    for number, sample in enumerate(stable[:_MOST_AGAIN]):
        seed = number % 2
        draw, before = again.read(sample.item.index, seed), sample.draws[seed]
        if (draw.digest, draw.label) == (before.digest, before.label):
            continue
        if seed == 0:
            other.append(sample.item)
        elif len({one.digest for one in sample.draws}) == 1:
            kept.append(sample.item)
    if other:
        return [
            _made_otherwise(f"made twice, {name} has other items, or another order: {named(other)} differ")
        ]
    if kept:
        return [
            DatasetFinding(
                "randomness",
                f"{named(kept)} are drawn at random when first read, and then stay the same: the data set "
                "keeps clips after random changes, so each worker repeats its own in all epochs, and a "
                "training that resumes has others",
                "keep what was read from the file, and make the random changes after that, each time",
            )
        ]
    return []


def _made_otherwise(message: str) -> DatasetFinding:
    return DatasetFinding(
        "randomness",
        f"{message}; each worker makes its own data set, so an index must be the same item in all of them",
        "seed the shuffle or split, as in random.Random(0).shuffle(files), or sort",
    )
