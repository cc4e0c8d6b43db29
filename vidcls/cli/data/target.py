"""Data sets of users on the command line: a target, and arguments for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.spec.data import DataSection

TargetArgs = Annotated[
    list[str] | None,
    typer.Option("--args", metavar="KEY=VALUE", help="Argument of TARGET, as data.args.KEY; repeatable."),
]


def is_own_dataset(root: Path, args: Sequence[str] | None) -> bool:
    """Whether an argument is the target of a data set, and not a path.

    Raises:
        UserError: If there are arguments for a path.
    """
    from vidcls.user_code.find import is_target

    if not root.exists() and is_target(str(root)):
        return True
    if args:
        raise UserError("--args: has no effect, because ROOT is no data set of your own, module:Name")
    return False


def section_of(target: str, args: Sequence[str] | None) -> DataSection:
    """Data section with a target and its arguments, `key=value` as in overrides of a spec.

    Raises:
        SpecError: If an argument has another form.
        UserError: If the target has another form.
    """
    from vidcls.spec.data import DataSection
    from vidcls.spec.explain import SpecError
    from vidcls.spec.overrides import override
    from vidcls.spec.yaml import COMMAND_LINE, Node
    from vidcls.user_code.find import find_code

    find_code(target)
    data = Node({"target": Node(target, COMMAND_LINE)}, COMMAND_LINE)
    if mistakes := override(Node({"data": data}, COMMAND_LINE), [f"data.args.{arg}" for arg in args or ()]):
        raise SpecError(mistakes)
    return DataSection.model_validate_json(json.dumps(data.plain()))
