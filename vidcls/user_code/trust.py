"""Whether the code in somebody's run folder may run.

It may if the user has the same code, has trained with it, or says so. What a user has trained with is known
by files of a folder in the user's home, so that it holds on all machines that share it.
"""

from __future__ import annotations

import contextlib
import hashlib
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
        with contextlib.suppress(OSError, RuntimeError):
            _known_folder().mkdir(parents=True, exist_ok=True)
            (_known_folder() / _key(code.target, code.digest)).touch()


@contextlib.contextmanager
def kept_code(folder: Path, targets: Iterable[str]) -> Iterator[None]:
    """Take the copies in the folder of a run for its targets, for the length of a `with` block.

    Args:
        folder: Folder of copies.
        targets: Targets of the run's spec.

    Raises:
        UserError: If a target has no copy, or is of code that the user does not have and has not trained with
            (unless all code is trusted); nothing of it has run.
    """
    copies = copies_in(folder)
    for target in targets:
        if target not in copies:
            raise UserError(
                f"{folder.parent}: has no copy of the code of {target}", hint=f"restore {folder}, its copies"
            )
        if not (_trusting.get() or _is_known(target, copies[target])):
            raise UserError(
                f"{folder.parent}: {_whose(target, copies[target])}, so it does not run",
                hint="read it first; --trust-code (in Python: trust_code=True) runs it",
            )
    with using(folder):
        yield


def _whose(target: str, copied: CopiedCode) -> str:
    if copied.release is not None:
        return f"was trained with {target} of {copied.release}, with which you have not trained"
    return (
        f"was trained with {target}, whose code lies in {copied.root}; you have no equal code and have not "
        "trained with it"
    )


def _is_known(target: str, copied: CopiedCode) -> bool:
    with contextlib.suppress(OSError, RuntimeError):
        if (_known_folder() / _key(target, copied.digest)).is_file():
            return True
    if copied.release is not None:
        return False  # everybody has it, and a spec can call anything that is installed
    try:
        return own_code(target).digest == copied.digest
    except (UserError, OSError):
        return False


def _key(target: str, digest: str) -> str:
    """Name of a file that stands for a class or function of this code."""
    name = target.rpartition(":")[2]
    return hashlib.sha256(f"{name} {digest}".encode()).hexdigest()[:32]


def _known_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "vidcls" / "trained_code"
