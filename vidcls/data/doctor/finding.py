"""A finding about a data set of the user, with its evidence and what to change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

FindingKind = Literal[
    "fails",  # an item cannot be made
    "shape",  # axes, sizes
    "labels",
    "values",  # range and type of the values
    "constant",  # frames of one colour
    "order",  # of the frames
    "per_frame",  # a random draw for each frame
    "flip",  # mirrors that change the label
    "same_video",  # one video for two indices
    "leak",  # videos of val or test in train
    "evaluation",  # random numbers in val
    "randomness",  # own generators and seeds
    "slow",
    "note",  # nothing wrong
]
_MOST_NAMED = 6


@dataclass(frozen=True)
class DatasetFinding:
    """Finding about a data set.

    Attributes:
        kind: Kind; a `note` is no mistake.
        message: What was seen, with the items and numbers that show it.
        advice: What to change; empty for a note.
    """

    kind: FindingKind
    message: str
    advice: str = ""

    @property
    def is_mistake(self) -> bool:
        """Whether something should be changed."""
        return self.kind != "note"


_ITEM = re.compile(r"\b(?:(?:train|val|test)\[\d+\]|item \d+)")


def merged(findings: Iterable[DatasetFinding]) -> list[DatasetFinding]:
    """Findings, with one in place of several that only differ in the item that they name."""
    by_text: dict[str, DatasetFinding] = {}
    items: dict[str, dict[str, None]] = {}
    for finding in findings:
        text = _ITEM.sub("", finding.message)
        by_text.setdefault(text, finding)
        items.setdefault(text, {}).update(dict.fromkeys(_ITEM.findall(finding.message)))
    result = []
    for text, finding in by_text.items():
        others = [item for item in items[text] if item not in _ITEM.findall(finding.message)]
        also = f"; the same in {named(others)}" if others else ""
        result.append(replace(finding, message=finding.message + also))
    return result


def named(names: Sequence[object]) -> str:
    """Some names as text: `train[0], train[3] and 4 more`."""
    shown = ", ".join(str(name) for name in names[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else "")
