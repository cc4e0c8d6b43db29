"""Makes items of a user's data set, in the process that trains or in a worker of a data loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidcls.choices import Split
from vidcls.data.user_dataset.checked import Expected, checked_clip, checked_label, parts_of
from vidcls.data.user_dataset.construct import DatasetCode
from vidcls.data.user_dataset.seeding import seeded
from vidcls.data.videos import Item
from vidcls.errors import UserError
from vidcls.user_code.load import USER_ERRORS


class Request(NamedTuple):
    """Request for an item.

    Attributes:
        item: Item.
        key: What its random numbers depend on, besides the item; nothing in evaluation.
    """

    item: Item
    key: tuple[int, ...] = ()


class Made(NamedTuple):
    """Items of a batch: clips `[B, C, T, H, W]`, float32 or uint8, and their labels."""

    clips: Tensor
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Refused:
    """Reason why an item, or a batch, could not be made; an error of its own may not be picklable."""

    message: str
    hint: str | None


class Items(Dataset[Any]):
    """Items of a user's data set; each process makes its own data set, with the first item.

    Args:
        dataset: Code of the data set.
        expected: What the model takes.
    """

    def __init__(self, dataset: DatasetCode, expected: Expected) -> None:
        self._dataset = dataset
        self._expected = expected
        self._made: dict[Split | None, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """State without the data sets, whose class may not be picklable."""
        return {**self.__dict__, "_made": {}}

    def name(self, item: Item) -> str:
        """Name of an item for messages."""
        return f"{self._dataset.code.target} {item}"

    def raw(self, request: Request) -> Any:
        """What the data set gives for an item, unchecked.

        Raises:
            UserError: If it fails, with the line of the user's code.
        """
        item, key = request
        try:
            if item.split not in self._made:
                self._made[item.split] = self._dataset.make(item.split)
            with seeded(*key, item.split or "", item.index):
                return self._made[item.split][item.index]
        except USER_ERRORS as error:
            raise self._dataset.explained(error, str(item)) from error

    def __getitem__(self, request: Request) -> tuple[Tensor, int] | Refused:
        """Clip and label of an item, checked."""
        try:
            where = self.name(request.item)
            clip, label = parts_of(self.raw(request), where)
            number = checked_label(label, where, num_classes=self._expected.num_classes)
            return checked_clip(clip, where, self._expected), number
        except UserError as error:
            return Refused(error.message, error.hint)


def collate(items: Sequence[tuple[Tensor, int] | Refused]) -> Made | Refused:
    """Batch of items, or the reason why the first of them cannot be used."""
    good: list[tuple[Tensor, int]] = []
    for item in items:
        if isinstance(item, Refused):
            return item
        good.append(item)
    if len({clip.dtype for clip, _ in good}) > 1:
        return Refused(MIXED, None)
    return Made(torch.stack([clip for clip, _ in good]), tuple(label for _, label in good))


MIXED = "some clips are uint8 and others float; return one of the two for all items"
