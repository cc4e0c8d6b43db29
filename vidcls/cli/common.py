"""What several commands share: arguments that mix files and overrides, consoles, tables."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcls.errors import UserError
from vidcls.text import printable_lines

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Screen
    from vidcls.spec.load import LoadedSpec

SpecArgs = Annotated[
    list[str],
    typer.Argument(metavar="SPEC [KEY=VALUE]...", help="A YAML file, and overrides such as optim.lr=3e-4."),
]
DataFile = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help="YAML file whose data section replaces the spec's."),
]
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


def refuse_missing_data(loaded: LoadedSpec) -> None:
    """Refuse a spec whose data is not there, before torch is loaded.

    Raises:
        UserError: If `data.root` does not exist.
    """
    from vidcls.data.layouts import refuse_missing_root

    with loaded.error_context():
        refuse_missing_root(Path(loaded.spec.data.root))


def console(*, stderr: bool = False) -> Screen:
    """Where tables and styled text are shown."""
    from vidcls.cli.output.screen import Screen

    return Screen(stderr=stderr)


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


def accept_any_text() -> None:
    """Let a terminal that cannot show a character show its escape; Python would end with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(text: object, *, err: bool = False, head: str = "") -> None:
    """A line, or several, for a person; `head` is before it, our own, and may be styled."""
    typer.echo(f"{head}{printable_lines(text)}", file=sys.stderr if err else sys.stdout)


def say(text: object) -> None:
    """A line for the person at the terminal, on stderr, out of the way of results."""
    echo(text, err=True)


def emit(text: str) -> None:
    """Text for a program, on stdout as it is: UTF-8 whatever the terminal's, names of files byte by byte."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    buffer.write(text.encode("utf-8", "surrogateescape"))
    buffer.flush()


def times(count: int) -> str:
    """How often, in words: `once`, `2 times`."""
    return "once" if count == 1 else f"{count} times"


def print_json(value: Any) -> None:
    """Print a value as JSON for scripts."""
    emit(json.dumps(value, indent=1) + "\n")
