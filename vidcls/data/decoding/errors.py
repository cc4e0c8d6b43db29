"""Errors in the content of a video file."""

from __future__ import annotations

from typing import Literal


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
