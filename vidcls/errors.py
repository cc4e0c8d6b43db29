"""Exceptions that are shown to the user without a traceback, and the exit codes for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the process; the numbers are fixed, because scripts test them.

    Attributes:
        DONE: Everything that was asked for is done.
        FAILED: It failed, or a signal such as Ctrl-C ended it; a training is saved and can be resumed.
        USER_MISTAKE: The request has a mistake, which the message names; nothing was changed.
        PARTLY_DONE: Some videos, runs or trials were left out; they are named.
        REQUEUE: The training was saved ahead of a time limit, and asks the queue to be started again.
    """

    DONE = 0
    FAILED = 1
    USER_MISTAKE = 2
    PARTLY_DONE = 3
    REQUEUE = 75


class VidclsError(Exception):
    """Problem that the user can solve; the command line prints it without a traceback.

    Attributes:
        message: Description of the problem, with the file, line or video.
        hint: Command to type or setting to change next; None if unknown.
        exit_code: Exit code of the process.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, exit_code: ExitCode = ExitCode.FAILED
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


def reason_of(error: BaseException) -> str:
    """First line of an error, for a message of one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


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


class UserError(VidclsError):
    """Mistake in a request: a spec, an argument, a data root. Exit code 2."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, exit_code=ExitCode.USER_MISTAKE)


class LockLostError(VidclsError):
    """Another process has taken over a lock of this one, so this process must not write any more."""
