"""Whether the code in somebody's run folder may run.

It may if the user has the same code, has trained with it, or says so. Digests of code that a user has
trained with are files of a folder in the user's home, so that they hold on all machines that share it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from vidcls.errors import UserError
from vidcls.user_code.copies import CopiedCode, copies_in, using, write_copies
from vidcls.user_code.find import find_code, own_code

_trusting: ContextVar[bool] = ContextVar("whether all code is trusted", default=False)


@contextlib.contextmanager
def trusting(all_code: bool) -> Iterator[None]:
    """Trust the code of every run folder, if wanted, for the length of a `with` block."""
    token = _trusting.set(all_code)
    try:
        yield
    finally:
        _trusting.reset(token)


def keep_code(folder: Path, targets: Iterable[str]) -> None:
    """Copy code with which the user trains into a run's folder, and remember that it was trained with.

    Without a home that can be written nothing is remembered.

    Raises:
        UserError: If a target is not found.
        VidclsError: If the disk is full.
    """
    codes = [find_code(target) for target in targets]
    write_copies(folder, codes)
    for code in codes:
        if code.release is None:
            with contextlib.suppress(OSError):
                _known_folder().mkdir(parents=True, exist_ok=True)
                (_known_folder() / code.digest).touch()


@contextlib.contextmanager
def kept_code(folder: Path) -> Iterator[None]:
    """Take the copies in the folder of a run for their targets, for the length of a `with` block.

    Raises:
        UserError: If a copy is of code that the user does not have and has not trained with, unless all code
            is trusted; nothing of it has run.
    """
    for target, copied in copies_in(folder).items():
        if copied.release is None and not (_trusting.get() or _is_known(target, copied)):
            raise UserError(
                f"{folder.parent}: was trained with {target}, whose code lies in {copied.root}; you have no "
                "equal code and have not trained with it, so it does not run",
                hint="read it first; --trust-code (in Python: trust_code=True) runs it",
            )
    with using(folder):
        yield


def _is_known(target: str, copied: CopiedCode) -> bool:
    with contextlib.suppress(OSError):
        if (_known_folder() / copied.digest).is_file():
            return True
    try:
        return own_code(target).digest == copied.digest
    except (UserError, OSError):
        return False


def _known_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "vidcls" / "trained_code"
