"""Cuts val from train: whole groups, classes in proportion, the same result for every user."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

_SEED = "val cut 1"  # a constant, so that all runs on the same data agree


def cut_val(labels: Sequence[int], groups: Sequence[str], *, fraction: float) -> frozenset[str]:
    """Choose the groups that become val.

    Groups are visited in an order that depends only on their names. A group is taken if that brings the
    classes closer to `fraction` of their videos and leaves every class a video to train on. Then each class
    without a val video gets the smallest group that can be spared. So if each group has one class, a class
    deviates from its share by at most its largest group. The order of the videos has no effect.

    Args:
        labels: Label of each video.
        groups: Group of each video.
        fraction: Share of the videos of each class wanted in val.

    Returns:
        Chosen groups; empty if no group can be spared.
    """
    content: dict[str, Counter[int]] = {}
    for label, group in zip(labels, groups, strict=True):
        content.setdefault(group, Counter())[label] += 1
    total = Counter(labels)
    held: Counter[int] = Counter()
    chosen: set[str] = set()

    def spared(group: str) -> bool:
        return all(held[label] + count < total[label] for label, count in content[group].items())

    def gain(group: str) -> float:
        return sum(
            abs(fraction * total[label] - held[label]) - abs(fraction * total[label] - held[label] - count)
            for label, count in content[group].items()
        )

    def take(group: str) -> None:
        chosen.add(group)
        held.update(content[group])

    order = sorted(content, key=_draw)
    for group in order:
        if gain(group) > 0 and spared(group):
            take(group)
    for label in sorted(total):
        candidates = [group for group in order if content[group][label] and spared(group)]
        if held[label] == 0 and candidates:
            take(min(candidates, key=lambda group: content[group].total()))
    return frozenset(chosen)


def _draw(group: str) -> bytes:
    return hashlib.sha256(f"{_SEED}\n{group}".encode(errors="surrogateescape")).digest()
