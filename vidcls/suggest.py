"""What a mistyped name was probably meant to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches


def did_you_mean(
    word: str,
    known: Iterable[str],
    *,
    num: int = 1,
    cutoff: float = 0.6,
    shown: Callable[[str], str] = str,
) -> str:
    """`did you mean a or b?`, or nothing where no known name is near.

    Args:
        word: What was written.
        known: What could have been meant.
        num: How many are named at most, the nearest first.
        cutoff: How alike they must be, 0 to 1; see `difflib.get_close_matches`.
        shown: How a known name is written out.
    """
    near = get_close_matches(word, list(known), n=num, cutoff=cutoff)
    return f"did you mean {' or '.join(map(shown, near))}?" if near else ""
