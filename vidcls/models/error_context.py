"""Adds the path of a model part to the settings in error messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from vidcls.errors import UserError

_SETTING = re.compile(r"\bmodel\.(?=(?:backbone|weights|freeze|batch_norm)\b)")


@contextmanager
def in_part(path: str) -> Iterator[None]:
    """Replace settings such as `model.weights` in errors of a part by their path, `model.rgb.weights`.

    Args:
        path: Path of the part below the model, such as `rgb` or `members.0`; empty for the whole.
    """
    try:
        yield
    except UserError as error:
        if not path:
            raise
        message, hint = (
            text and _SETTING.sub(f"model.{path}.", text) for text in (error.message, error.hint)
        )
        raise UserError(message or "", hint=hint) from error
