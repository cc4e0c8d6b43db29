"""Frames in a wrong order: in another one, neighbouring frames would be much more alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidcls.data.doctor.draws import Draw
from vidcls.data.doctor.finding import DatasetFinding, named
from vidcls.data.doctor.pictures import Float, distances, standardised
from vidcls.data.videos import Item

_LEAST_FRAMES = 4
_LEAST_ITEMS, _MANY_ITEMS = 3, 8
_STILL = 0.01
"""Mean difference of neighbouring frames, in standard deviations of the clip, below which nothing moves."""
_LONGEST = 400
"""Most frames of a video for which the order of text is tried."""
_TEXT_RATIO, _TEXT_ERRORS = 0.97, 4.0
"""Of many items: the greatest mean ratio of lengths, and how many standard errors it is below 1 at least."""
_CLEAR_RATIO = 0.8
"""Of few items: the greatest mean ratio, where all of them are smoother."""
_CLEAR_JUMPS = 0.9
"""Greatest ratio of the largest differences of neighbours: a motion that repeats itself is no jump."""
_ANY_RATIO, _ANY_WORST = 0.6, 0.8


@dataclass(frozen=True)
class Order:
    """Differences of the frames of an item.

    Attributes:
        item: Item.
        between: Difference of each two frames `[T, T]`, in standard deviations of the clip.
    """

    item: Item
    between: Float


def order_of(item: Item, draw: Draw) -> Order | None:
    """Differences of the frames of an answer; None if there are too few, or if nothing moves."""
    if draw.grey is None or len(draw.grey) < _LEAST_FRAMES:
        return None
    between = distances(standardised(draw.grey))
    num = len(between)
    return Order(item, between) if _length(between, np.arange(num)) / (num - 1) > _STILL else None


def check_order(orders: Sequence[Order]) -> Iterator[DatasetFinding]:
    """Find frames that are sorted as text (1, 10, 2), or in no order.

    A sum of differences of neighbouring frames measures how smooth an order is. Sorting as text is found if
    one and the same order, of those that sorting as text can give, is smoother than the given one over many
    items; any other order only if the best one is much smoother in all.

    Args:
        orders: Items of all splits in which something moves.
    """
    by_length: dict[int, list[Order]] = defaultdict(list)
    for order in orders:
        by_length[len(order.between)].append(order)
    for found in by_length.values():
        if len(found) < _LEAST_ITEMS:
            continue
        between = np.stack([order.between for order in found])
        message = _as_text(between) or _in_no_order(between)
        if message:
            yield DatasetFinding(
                "order",
                f"the frames are in a wrong order in {named([order.item for order in found])}: {message}",
                "sort files by their number: sorted(files, key=lambda f: int(f.stem.split('_')[-1]))",
            )


def _length(between: Float, order: np.ndarray) -> float:
    return float(between[order[:-1], order[1:]].sum())


def _largest(between: Float, order: np.ndarray) -> float:
    return float(between[order[:-1], order[1:]].max())


def _as_text(between: Float) -> str | None:
    """What speaks for frames sorted as text, from `[N, T, T]`; None if nothing does."""
    num, num_frames = between.shape[:2]
    orders = _text_orders(num_frames)
    if not len(orders):
        return None
    given = between[:, range(num_frames - 1), range(1, num_frames)].sum(1)
    ratios = between[:, orders[:, :-1], orders[:, 1:]].sum(-1) / given[:, None]  # [N, orders]
    best = int(ratios.mean(0).argmin())
    ratio, better = float(ratios[:, best].mean()), int((ratios[:, best] < 1).sum())
    error = float(ratios[:, best].std()) / np.sqrt(num)
    jumps = np.array([_largest(one, orders[best]) / _largest(one, np.arange(num_frames)) for one in between])
    is_clear = ratio < _CLEAR_RATIO and better == num and np.median(jumps) < _CLEAR_JUMPS
    is_frequent = num >= _MANY_ITEMS and ratio < _TEXT_RATIO and 1 - ratio > _TEXT_ERRORS * error
    is_frequent = is_frequent and jumps.mean() < 1
    if not (is_clear or is_frequent):
        return None
    return (
        f"in the order {orders[best].tolist()} neighbouring frames differ {100 * (1 - ratio):.0f} % less, in "
        f"{better} of {num} items, as if names such as frame_1, frame_10, frame_2 were sorted as text"
    )


def _text_orders(num_frames: int) -> np.ndarray:
    """Orders of T frames that undo a sorting as text: `[orders, T]`, each once."""
    found: set[tuple[int, ...]] = set()
    for start in (0, 1):
        for length in range(num_frames, _LONGEST + 1):
            names = sorted(str(number) for number in range(start, start + length))
            steps = np.arange(num_frames)
            for chosen in (steps * length // num_frames, np.linspace(0, length - 1, num_frames).astype(int)):
                numbers = [int(names[place]) for place in chosen]
                found.add(tuple(np.argsort(numbers, kind="stable").tolist()))
    found.discard(tuple(range(num_frames)))
    return np.array(sorted(found))


def _in_no_order(between: Float) -> str | None:
    """What speaks for frames in no order; None if nothing does."""
    given = np.arange(between.shape[1])
    smoothest = [_smoothest(one) for one in between]
    pairs = list(zip(between, smoothest, strict=True))
    ratios = [_length(one, best) / _length(one, given) for one, best in pairs]
    jumps = [_largest(one, best) / _largest(one, given) for one, best in pairs]
    if np.median(ratios) > _ANY_RATIO or max(ratios) > _ANY_WORST or np.median(jumps) > _CLEAR_JUMPS:
        return None
    less = 100 * (1 - float(np.median(ratios)))
    return f"in the smoothest order, neighbouring frames differ {less:.0f} % less (median of {len(ratios)})"


def _smoothest(between: Float) -> np.ndarray:
    """An order of little length: the best of greedy orders from each frame, improved by reversing parts."""
    best = np.arange(len(between))
    for start in range(len(between)):
        order, left = [start], set(range(len(between))) - {start}
        while left:
            order.append(min(left, key=lambda other: between[order[-1], other]))
            left.remove(order[-1])
        improved = _improved(between, np.array(order))
        if _length(between, improved) < _length(between, best):
            best = improved
    return best


def _improved(between: Float, order: np.ndarray) -> np.ndarray:
    is_better = True
    while is_better:
        is_better = False
        for first in range(len(order) - 1):
            for last in range(first + 1, len(order)):
                turned = order.copy()
                turned[first : last + 1] = turned[first : last + 1][::-1]
                if _length(between, turned) < _length(between, order) - 1e-9:
                    order, is_better = turned, True
    return order
