"""Calls a class or function of a user, with arguments that were checked against its signature."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from vidcls.errors import UserError, did_you_mean
from vidcls.user_code.code import UserCode
from vidcls.user_code.load import USER_ERRORS, explained, load_code


def make(code: UserCode, args: Mapping[str, Any], *, offered: Mapping[str, Any], key: str) -> Any:
    """Load the code of a target and call it.

    Args:
        code: Code of the target.
        args: Arguments of the user.
        offered: As for `arguments_for`.
        key: As for `arguments_for`.

    Raises:
        UserError: As for `arguments_for`, or if the call raises; with file and line.
    """
    target = load_code(code)
    arguments = arguments_for(code, target, args, offered=offered, key=key)
    try:
        return target(**arguments)
    except USER_ERRORS as error:
        raise explained(code, error) from error


def arguments_for(
    code: UserCode,
    target: Callable[..., Any],
    args: Mapping[str, Any],
    *,
    offered: Mapping[str, Any],
    key: str,
) -> dict[str, Any]:
    """Keyword arguments for a target: those of the user, and those that are offered and that it names.

    Args:
        code: Code of the target, for messages.
        target: Class or function.
        args: Arguments of the user.
        offered: Arguments that vidcls hands over where the target has a parameter of that name.
        key: Setting of the spec that holds `args`, such as `data.args`.

    Raises:
        UserError: If the target does not take an argument, lacks one, or if the user sets an offered one.
    """
    params = parameters_of(target)
    named = {name for name, param in params.items() if param.kind in _BY_NAME}
    takes_any = any(param.kind is param.VAR_KEYWORD for param in params.values())
    for name in args:
        if name in offered and name in named:
            raise UserError(f"{key}.{name}: is handed over by vidcls", hint=f"leave {key}.{name} out")
        if name not in named and not takes_any:
            own = sorted(named - offered.keys())
            meant = did_you_mean(name, own, shown=lambda known: f"{key}.{known}")
            raise UserError(
                f"{key}.{name}: {code.target} takes no argument {name}",
                hint=meant or f"it takes: {', '.join(own) or 'none'}",
            )
    taken = {name: value for name, value in offered.items() if name in named}
    for name in sorted(named - taken.keys() - args.keys()):
        if params[name].default is inspect.Parameter.empty:
            raise UserError(
                f"{key}.{name}: {code.target} needs it", hint=f"set {key}.{name}, or give it a default"
            )
    return {**taken, **copy.deepcopy(dict(args))}  # theirs to change


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parameters_of(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Parameters of a class or function; for one without a signature, any keywords."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):  # made in C
        return {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}
