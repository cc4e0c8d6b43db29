"""What several commands share: arguments that mix files and overrides, consoles, tables."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcls.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from vidcls.spec.load import LoadedSpec

SpecArgs = Annotated[
    list[str],
    typer.Argument(metavar="SPEC [KEY=VALUE]...", help="A YAML file, and overrides such as optim.lr=3e-4."),
]
DataFile = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help="YAML file whose data section replaces the spec's."),
]
_FILE_WIDTH = 200
_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def split_args(args: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Files and overrides, which may stand in any order."""
    overrides = [arg for arg in args if _OVERRIDE.match(arg)]
    return [Path(arg) for arg in args if arg not in overrides], overrides


def load_one(args: Sequence[str], data_file: Path | None = None) -> LoadedSpec:
    """The one spec that the arguments name, overrides applied.

    Raises:
        UserError: If they name none or several.
        SpecError: If the spec is wrong.
    """
    from vidcls.spec.load import load_spec

    files, overrides = split_args(args)
    if len(files) != 1:
        named = ", ".join(map(str, files)) or "none"
        raise UserError(
            f"expected one spec file, got {named}", hint="for example experiments/late_fusion.yaml"
        )
    return load_spec(files[0], overrides, data_file=data_file)


def console(*, stderr: bool = False) -> Console:
    """A rich console; where the output is not a terminal, wide enough that nothing is cut."""
    from rich.console import Console

    screen = Console(stderr=stderr, highlight=False)
    if not screen.is_terminal:
        screen.width = _FILE_WIDTH
    return screen


def shown(path: Path) -> str:
    """A path as a person would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def print_json(value: Any) -> None:
    """Print a value as JSON for scripts."""
    typer.echo(json.dumps(value, indent=1))


def say(text: str) -> None:
    """A line for the person at the terminal, on stderr, out of the way of results."""
    typer.echo(text, err=True)
