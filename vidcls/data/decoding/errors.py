"""Errors in the content of a video file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

T = TypeVar("T")


class DecodeError(Exception):
    """Error in the content of a file; it occurs each time the file is read.

    Attributes:
        reason: Description for the user.
        kind: `unreadable`: no container or no frame; `no_video`: only other streams; `corrupt`: decoding
            fails midway.
    """

    def __init__(
        self, reason: str, kind: Literal["unreadable", "no_video", "corrupt"] = "unreadable"
    ) -> None:
        super().__init__(reason, kind)
        self.reason = reason
        self.kind = kind

    def __str__(self) -> str:
        return self.reason


def until_error(items: Iterable[T], errors: list[DecodeError]) -> Iterator[T]:
    """Yield items until a decode error, which is put into `errors`: what came before it is used first."""
    try:
        yield from items
    except DecodeError as error:
        errors.append(error)
