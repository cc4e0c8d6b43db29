"""Secret keys that no script, queue or disk may hold: their names, and checks that they are not written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from vidcls.errors import UserError

KEY_HINTS: Mapping[str, str] = {
    "WANDB_API_KEY": "`wandb login` stores the key where jobs find it",
    "HF_TOKEN": "`hf auth login` stores the key where jobs find it",
    "HUGGING_FACE_HUB_TOKEN": "`hf auth login` stores the key where jobs find it",
}
"""Variables that hold a key, and a hint where to store the key for jobs instead."""
_LOGIN = re.compile(r"\bwandb\s+login\b.*\s(?!-)[\w-]{20,}|\bhf\s+auth\s+login\b.*\s--token\b")
_SHORTEST = 8
"""Minimum number of characters of a key; a shorter value would be found in any script."""


def told_by(line: str) -> str | None:
    """Reason why a line of shell would write a key into a script; None if it does not.

    Args:
        line: Line that is copied into scripts unchanged. `unset` of a variable is harmless.
    """
    kept = re.sub(r"\bunset(?:\s+-v)?(?:\s+\w+)+", "", line)
    for name, hint in KEY_HINTS.items():
        if re.search(rf"(?<!\w){name}(?!\w)", kept):
            return f"{name} would be written into scripts; {hint}"
    if _LOGIN.search(line):
        return "a key would be written into scripts; log in once by hand instead, jobs then find the key"
    return None


def refuse_values(script: str) -> None:
    """Refuse to submit a script that holds the value of a key of this environment, under any name.

    Raises:
        UserError: If it does; the message has the name of the variable, not its value.
    """
    for name, hint in KEY_HINTS.items():
        value = os.environ.get(name, "").strip()
        if len(value) >= _SHORTEST and value in script:
            raise UserError(
                f"the value of {name} would be written into the script of the job, which queues store on "
                "disk",
                hint=f"remove it from the profile, the command or PYTHONPATH; {hint}",
            )
