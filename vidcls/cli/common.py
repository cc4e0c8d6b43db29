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
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there already.")]


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


def refuse_overwrite(path: Path | None, *, option: str, force: bool, content: str | None = None) -> None:
    """Keep a file of the user's that has the name of one that is about to be written.

    A command calls it before its work, which may take minutes.

    Args:
        path: The file to write; None where none was asked for.
        option: What names it, such as `--out`.
        force: Whether the user wants it overwritten.
        content: What is to be written, where that is known by now; a file that holds just this is not lost.

    Raises:
        UserError: If something has that name (a folder is never overwritten), or `--force` has no effect.
    """
    if path is None:
        if force:
            raise UserError(f"--force has no effect without {option}", hint="leave it out")
        return
    if path.is_dir():
        raise UserError(f"{option}: {path} is a folder", hint="name a file")
    if force or not (path.exists() or path.is_symlink()):
        return
    if content is None or path.read_bytes() != content.encode():
        raise UserError(
            f"{option}: {path} is there already", hint="name another file, or --force writes over it"
        )


def print_json(value: Any) -> None:
    """Print a value as JSON for scripts."""
    typer.echo(json.dumps(value, indent=1))


def say(text: str) -> None:
    """A line for the person at the terminal, on stderr, out of the way of results."""
    typer.echo(text, err=True)
