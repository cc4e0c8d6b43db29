"""Code shared by commands: arguments that mix files and overrides, consoles, tables."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vidcls.errors import UserError
from vidcls.text import printable_lines

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Screen
    from vidcls.run.folder import Run
    from vidcls.spec.data import DataSection
    from vidcls.spec.load import LoadedSpec

SpecArgs = Annotated[
    list[str],
    typer.Argument(
        metavar="SPEC [KEY=VALUE]...", help="Spec file (YAML), and overrides such as optim.lr=3e-4."
    ),
]
DataFile = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help="YAML file whose `data` section replaces that of the spec."),
]
StoredSplit = Annotated[
    Literal["val", "test"],
    typer.Option(help="Split of the stored predictions. Every look at test is recorded in a ledger."),
]
StoredCheckpoint = Annotated[
    Literal["best", "last"], typer.Option(help="Checkpoint whose stored predictions are read.")
]
ComparedRuns = Annotated[
    list[Path],
    typer.Argument(
        metavar="WHAT...",
        help="Runs, folders of runs, configurations (runs/NAME/FINGERPRINT), sweeps, or patterns.",
    ),
]
AcrossData = Annotated[
    bool, typer.Option("--across-data", help="Accept runs of different data that scored the same videos.")
]
RunFolders = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or folders that contain runs.")
]
_NAMED = 5
_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that exists already.")]


def split_args(args: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Separate files and overrides, which may be in any order."""
    overrides = [arg for arg in args if _OVERRIDE.match(arg)]
    return [Path(arg) for arg in args if arg not in overrides], overrides


def load_one(args: Sequence[str], data_file: Path | None = None) -> LoadedSpec:
    """Load the only spec in the arguments, with overrides applied.

    Raises:
        UserError: If the arguments contain no spec file, or several.
        SpecError: If the spec has mistakes.
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
    """Refuse a spec whose data is missing, before torch is loaded.

    Raises:
        UserError: If `data.root` does not exist, or if the code of `data.target` is not found.
    """
    with loaded.error_context():
        refuse_missing(loaded.spec.data)


def refuse_missing(data: DataSection) -> None:
    """Refuse a data section whose data is missing, before torch is loaded.

    Raises:
        UserError: If the root does not exist, or if the code of the target is not found.
    """
    from vidcls.data.layouts import refuse_missing_root
    from vidcls.user_code.find import find_code

    if data.target is None:
        refuse_missing_root(Path(data.root))
    else:
        find_code(data.target)


def console(*, stderr: bool = False) -> Screen:
    """Console for tables and styled text."""
    from vidcls.cli.output.screen import Screen

    return Screen(stderr=stderr)


def shown(path: Path) -> str:
    """Path as the user would type it in the working folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def refuse_overwrite(path: Path | None, *, option: str, force: bool, content: str | None = None) -> None:
    """Refuse to overwrite an existing file of the user.

    A command calls this before its work, which may take minutes.

    Args:
        path: File to write; None if none was requested.
        option: Option that sets the file, such as `--out`.
        force: Whether the user allows to overwrite it.
        content: Content to write, if already known; a file with exactly this content may be overwritten.

    Raises:
        UserError: If the path exists (a folder is never overwritten), or `--force` has no effect.
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
            f"{option}: {path} exists already",
            hint="name another file, or give --force to overwrite this one",
        )


def accept_any_text() -> None:
    """Show escapes for characters that the terminal cannot show, instead of ending with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(text: object, *, err: bool = False, head: str = "") -> None:
    """Print one or more lines for the user; `head` is printed before them, is trusted and may be styled."""
    typer.echo(f"{head}{printable_lines(text)}", file=sys.stderr if err else sys.stdout)


def say(text: object) -> None:
    """Print a line for the user on stderr, separate from results."""
    echo(text, err=True)


def say_left_out(left_out: Mapping[Run, str]) -> None:
    """Print why runs are left out, one line per reason, since a hundred trials may share it."""
    by_reason: dict[str, list[str]] = {}
    for run, why in left_out.items():
        by_reason.setdefault(why, []).append(str(run.folder))
    for why, names in by_reason.items():
        if len(names) == 1:
            say(f"{names[0]}: left out: {why}")
            continue
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        say(f"{len(names)} runs left out: {why}: {', '.join(names[:_NAMED])}{more}")


def emit(text: str) -> None:
    """Print text for a program on stdout: UTF-8 whatever the terminal uses, file names byte by byte."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    buffer.write(text.encode("utf-8", "surrogateescape"))
    buffer.flush()


def times(count: int) -> str:
    """Count in words: `once`, `2 times`."""
    return "once" if count == 1 else f"{count} times"


def print_json(value: Any) -> None:
    """Print a value as JSON for scripts."""
    emit(json.dumps(value, indent=1) + "\n")
