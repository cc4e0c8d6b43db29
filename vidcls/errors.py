"""Exceptions that are shown to the user without a traceback, and the exit codes for scripts."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the process; the numbers are fixed, because scripts test them."""

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


class UserError(VidclsError):
    """Mistake in a request: a spec, an argument, a data root. Exit code 2."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, exit_code=ExitCode.USER_MISTAKE)


class LockLostError(VidclsError):
    """Another process has taken over a lock of this one, so this process must not write any more."""
