"""What can be wrong inside a video file."""

from __future__ import annotations

from typing import Literal


class DecodeError(Exception):
    """What is wrong inside a file, for a person; the same each time the file is read.

    Attributes:
        reason: What went wrong, for a person.
        kind: `unreadable`: no container or no frame; `no_video`: other streams only; `corrupt`: breaks
            midway.
    """

    def __init__(
        self, reason: str, kind: Literal["unreadable", "no_video", "corrupt"] = "unreadable"
    ) -> None:
        super().__init__(reason, kind)
        self.reason = reason
        self.kind = kind

    def __str__(self) -> str:
        return self.reason
