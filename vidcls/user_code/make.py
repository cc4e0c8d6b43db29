"""Calls what a target stands for: with its arguments, and with what it takes of that which is offered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from vidcls.errors import UserError, did_you_mean
from vidcls.user_code.code import UserCode
from vidcls.user_code.load import explained, load_code

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def make(code: UserCode, args: Mapping[str, Any], *, offered: Mapping[str, Any], setting: str) -> Any:
    """Load the code of a target and call it.

    Args:
        code: Code of the target.
        args: Arguments from the spec, by name.
        offered: Further arguments, which are only handed over where its signature names them.
        setting: Key of `args` in the spec, such as `model.args`.

    Raises:
        UserError: If it takes no such argument, needs one that is missing, or raises; with file and line.
    """
    target = load_code(code)
    taken = _taken(target, code, args, offered=offered, setting=setting)
    try:
        return target(**taken, **args)
    except Exception as error:  # whatever the user's code raises
        raise explained(code, error) from error


def takes(target: Callable[..., Any]) -> set[str]:
    """Names of the arguments of a class or function."""
    params = inspect.signature(target).parameters
    return {name for name, param in params.items() if param.kind in _BY_NAME}


def _taken(
    target: Callable[..., Any],
    code: UserCode,
    args: Mapping[str, Any],
    *,
    offered: Mapping[str, Any],
    setting: str,
) -> dict[str, Any]:
    params, named = inspect.signature(target).parameters, takes(target)
    takes_any = any(param.kind is param.VAR_KEYWORD for param in params.values())
    for name in args:
        if name not in named and not takes_any:
            meant = did_you_mean(name, sorted(named), shown=lambda known: f"{setting}.{known}")
            known = ", ".join(sorted(named - offered.keys())) or "none"
            raise UserError(
                f"{setting}.{name}: {code.target} takes no argument {name}",
                hint=meant or f"it takes: {known}",
            )
    taken = {name: value for name, value in offered.items() if name in named and name not in args}
    for name in sorted(named - taken.keys() - args.keys()):
        if params[name].default is inspect.Parameter.empty:
            raise UserError(
                f"{code.target} needs the argument {name}", hint=f"set {setting}.{name}, or give it a default"
            )
    return taken
