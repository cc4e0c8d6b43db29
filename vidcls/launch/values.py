"""Value types of a profile: times, memory, words and paths."""

from __future__ import annotations

import getpass
import os
import re
from pathlib import Path
from string import Template
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from vidcls.files import expand_home
from vidcls.launch.credentials import KEY_HINTS, told_by

_TIME = re.compile(
    r"(?:(?P<days>[0-9]{1,3})-)?(?P<hours>[0-9]{1,3}):(?P<minutes>[0-5][0-9]):(?P<seconds>[0-5][0-9])"
)
_MINUTES = re.compile(r"[0-9]{1,7}")
_MEMORY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(MB|GB)")


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _time(text: str) -> str:
    if not _MINUTES.fullmatch(text) and not _TIME.fullmatch(text):
        raise ValueError(f"write HH:MM:SS, D-HH:MM:SS or whole minutes, got {text!r}")
    if seconds(text) < 60:
        raise ValueError(f"must be at least one minute (00:01:00), got {text!r}")
    return text


def seconds(text: str) -> int:
    """Convert a time limit to seconds."""
    match = _TIME.fullmatch(text)
    if match is None:
        return 60 * int(text)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _memory(text: str) -> str:
    if not _MEMORY.fullmatch(text) or megabytes(text) < 1:
        raise ValueError(f"write megabytes or gigabytes per job, such as 16GB, got {text!r}")
    return text


def megabytes(text: str) -> int:
    """Convert an amount of memory to MB of 2**20 bytes."""
    match = _MEMORY.fullmatch(text)
    assert match is not None
    return int(float(match[1]) * (1024 if match[2] == "GB" else 1))


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.:/@+,-]*", text, re.ASCII):
        raise ValueError(f"expected one word of letters, digits and `._:/@+,-`, got {text!r}")
    return text


def _path(text: str) -> str:
    # Expanded when the file is read: the login node knows $USER, a rendered script must not depend on it.
    known = {"USER": getpass.getuser()} | os.environ
    full = expand_home(Template(text).safe_substitute(known))
    if "$" in full:
        raise ValueError(f"{text!r} contains a variable that is not set here")
    if not Path(full).is_absolute():
        raise ValueError(f"expected an absolute path, such as /scratch/$USER/vidcls, got {text!r}")
    return full


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("contains a NUL character, which is not allowed in shell commands")
    return text


def _set_up(text: str) -> str:
    if (why := told_by(text)) is not None:
        raise ValueError(why)
    return text


def _environment(values: dict[str, str]) -> dict[str, str]:
    for name in values:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!r} is not a valid name of a variable")
        if name in KEY_HINTS:
            raise ValueError(f"{name} would be written into scripts; {KEY_HINTS[name]}")
    return values


Time = Annotated[str, BeforeValidator(_as_text), AfterValidator(_time)]
Memory = Annotated[str, AfterValidator(_memory)]
Word = Annotated[str, BeforeValidator(_as_text), AfterValidator(_word)]
FullPath = Annotated[str, AfterValidator(_path)]
ShellText = Annotated[str, AfterValidator(_no_nul)]
SetUp = Annotated[ShellText, AfterValidator(_set_up)]
Environment = Annotated[
    dict[str, Annotated[ShellText, BeforeValidator(_as_text)]], AfterValidator(_environment)
]
