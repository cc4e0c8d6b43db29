"""The one exception that carries a user's mistake to the terminal, and the exit codes scripts rely on."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller; the numbers are fixed, scripts test them."""

    DONE = 0
    FAILED = 1
    USER_MISTAKE = 2
    PARTLY_DONE = 3
    REQUEUE = 75


class VidclsError(Exception):
    """A problem that a person can act on; the command line prints it without a traceback.

    Attributes:
        message: What is wrong, naming the file, line or video.
        hint: What to type or change next, if that is known.
        exit_code: What the process exits with.
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
    """The first line of what went wrong, for a message of one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


class UserError(VidclsError):
    """A mistake in what was asked for: a spec, an argument, a data root. Exit code 2."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, exit_code=ExitCode.USER_MISTAKE)


class LockLostError(VidclsError):
    """Another process took over what this one held; whatever this one would still write is not wanted."""
