"""Reads items of a data set several times: under different random seeds, and twice under the same one."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidcls.choices import Split
from vidcls.data.user_dataset.checked import as_tensor, checked_label, parts_of
from vidcls.data.user_dataset.construct import DatasetCode
from vidcls.data.user_dataset.seeding import seeded
from vidcls.data.videos import Item
from vidcls.errors import UserError
from vidcls.user_code.load import USER_ERRORS

Grey = NDArray[np.float32]
_SIDE_PX = 48
"""Side of the small frames that are compared."""


@dataclass(frozen=True)
class Draw:
    """One answer of the data set.

    Attributes:
        label: Label; None if it is no whole number.
        problem: What is wrong with the clip or the label, if they cannot be used.
        shape: Shape of the clip; empty if it is no array.
        dtype: Type of its values, such as `float32`.
        digest: Digest of its values.
        low: Least value.
        high: Greatest value.
        frame_spread: Standard deviation of each frame, `[T]`.
        grey: Small grey frames `[T, h, w]`; None if the axes are not [C, T, H, W].
        states: Digest of the state of each random generator afterwards, by its name.
    """

    label: int | None
    problem: UserError | None
    shape: tuple[int, ...] = ()
    dtype: str = ""
    digest: str = ""
    low: float = 0.0
    high: float = 0.0
    frame_spread: tuple[float, ...] = ()
    grey: Grey | None = field(default=None, repr=False)
    states: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Sample:
    """Item that was read several times.

    Attributes:
        item: Item.
        draws: Answers under different seeds.
        again: Answer under the seed of the first.
        wall_s: Seconds of the first answer.
        cpu_s: Seconds that the processor computed for it.
    """

    item: Item
    draws: tuple[Draw, ...]
    again: Draw
    wall_s: float
    cpu_s: float

    @property
    def first(self) -> Draw:
        """Answer under the first seed."""
        return self.draws[0]

    @property
    def label(self) -> int | None:
        """Label under the first seed."""
        return self.first.label


@dataclass(frozen=True)
class Answer:
    """What an item gave, whether it was read once or several times.

    Attributes:
        item: Item.
        first: Answer under the first seed, without its small frames.
        labels: Labels under all seeds.
        problem: What is wrong with one of the answers; None if all can be used.
    """

    item: Item
    first: Draw
    labels: frozenset[int | None]
    problem: UserError | None

    @classmethod
    def of(cls, item: Item, draws: Sequence[Draw]) -> Self:
        """Answer of an item with these draws."""
        problem = next((draw.problem for draw in draws if draw.problem is not None), None)
        labels = frozenset(draw.label for draw in draws)
        return cls(item, replace(draws[0], grey=None), labels, problem)


class Reader:
    """Reads items of the data set of one split.

    Args:
        code: Code of the data set.
        made: Data set, as `code.make(split)` made it.
        split: Its split.
    """

    def __init__(self, code: DatasetCode, made: Any, split: Split | None) -> None:
        self.code = code
        self.made = made
        self.split = split

    def item(self, index: int) -> Item:
        """Item with an index."""
        return Item(self.split, index)

    def read(self, index: int, seed: int) -> Draw:
        """Read an item under a seed.

        Raises:
            UserError: If the data set fails, with the line of the user's code.
        """
        item = self.item(index)
        try:
            with seeded("doctor", seed, item.split or "", index):
                given = self.made[index]
                states = _states()
        except USER_ERRORS as error:
            raise self.code.explained(error, str(item)) from error
        return _draw(given, str(item), states)

    def sample(self, index: int, *, num_draws: int) -> Sample:
        """Read an item under `num_draws` seeds, and again under the first of them.

        Raises:
            UserError: As for `read`.
        """
        draws: list[Draw] = []
        times: list[tuple[float, float]] = []
        for seed in (*range(num_draws), 0):
            wall, cpu = time.perf_counter(), time.process_time()
            draws.append(self.read(index, seed))
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
        wall_s, cpu_s = times[0]  # a later one may come from a cache of the data set
        return Sample(self.item(index), tuple(draws[:-1]), draws[-1], wall_s, cpu_s)


def spread(size: int, num: int) -> list[int]:
    """At most `num` indices, evenly spread, with the first and the last."""
    return np.unique(np.linspace(0, size - 1, min(size, num)).round().astype(int)).tolist() if size else []


def _draw(given: Any, where: str, states: dict[str, str]) -> Draw:
    try:
        clip, label = parts_of(given, where)
        number = checked_label(label, where)
    except UserError as error:
        return Draw(None, error)
    try:
        clip = as_tensor(clip, where).cpu()
    except UserError as error:
        return Draw(number, error)
    if clip.is_complex():
        return Draw(number, UserError(f"{where}: the clip is complex; expected float32 or uint8"))
    values = clip.to(torch.float32)
    in_bytes = clip.contiguous().reshape(-1).view(torch.uint8)  # NumPy has no bfloat16
    digest = hashlib.blake2b(in_bytes.numpy().tobytes(), digest_size=16).hexdigest()
    dtype = str(clip.dtype).removeprefix("torch.")
    if values.numel() == 0 or not torch.isfinite(values).all():
        what = "is empty" if values.numel() == 0 else "has values that are NaN or infinite"
        return Draw(number, UserError(f"{where}: the clip {what}"), tuple(clip.shape), dtype, digest)
    has_axes = values.ndim == 4
    return Draw(
        label=number,
        problem=None,
        shape=tuple(clip.shape),
        dtype=dtype,
        digest=digest,
        low=float(values.min()),
        high=float(values.max()),
        frame_spread=tuple(values.std((0, 2, 3), correction=0).tolist()) if has_axes else (),
        grey=_grey(values) if has_axes else None,
        states=states,
    )


def _grey(clip: Tensor) -> Grey:
    grey = clip.mean(0)[:, None]
    height, width = grey.shape[-2:]
    if max(height, width) > _SIDE_PX:
        scale = _SIDE_PX / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        grey = F.interpolate(grey, size=size, mode="area")
    return grey[:, 0].numpy()


def _states() -> dict[str, str]:
    _, keys, *rest = np.random.get_state()  # noqa: NPY002  (users use it)
    found = {
        "random": repr(random.getstate()),
        "NumPy": repr((np.asarray(keys).tobytes(), rest)),
        "torch": repr(torch.get_rng_state().numpy().tobytes()),
    }
    return {name: hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for name, text in found.items()}


def usable(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Samples of which every answer is a clip with small frames, all of one shape."""
    for sample in samples:
        answers = (*sample.draws, sample.again)
        if all(one.grey is not None for one in answers) and len({one.shape for one in answers}) == 1:
            yield sample
