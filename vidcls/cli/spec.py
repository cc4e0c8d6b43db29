"""`vidcls spec`: check, show and compare specs, and print the schema for completion in editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidcls.cli.common import (
    AsJson,
    DataFile,
    SpecArgs,
    console,
    echo,
    emit,
    load_one,
    print_json,
    split_args,
)
from vidcls.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Check, show and compare experiment files.")


@app.command()
def check(args: SpecArgs, data_file: DataFile = None) -> None:
    """Check spec files, and list all mistakes in all files."""
    from vidcls.spec.explain import SpecError
    from vidcls.spec.load import load_spec

    files, overrides = split_args(args)
    if not files:
        raise UserError("no spec file given", hint="for example vidcls spec check experiments/*.yaml")
    mistakes = []
    for path in files:
        try:
            load_spec(path, overrides, data_file=data_file)
        except SpecError as error:
            mistakes += list(error.mistakes)
        else:
            echo(f"{path}: ok")
    if mistakes:
        raise SpecError(mistakes)


@app.command()
def show(
    args: SpecArgs,
    data_file: DataFile = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Write out all defaults too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a spec with its parent and overrides merged, or, with --resolved, with all defaults too."""
    from vidcls.spec.show import plain, to_yaml, yaml_text

    loaded = load_one(args, data_file)
    if as_json:
        print_json(plain(loaded.spec) if resolved else loaded.tree.plain())
    else:
        emit(to_yaml(loaded.spec) if resolved else yaml_text(loaded.tree.plain()))


@app.command()
def diff(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="A spec file, a run, or a folder with only one run.")
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another spec file, run or folder.")],
    as_json: AsJson = False,
) -> None:
    """Show the settings that differ between two specs, including defaults."""
    from vidcls.cli.output.screen import Table
    from vidcls.run.find import open_run
    from vidcls.spec.load import load_spec
    from vidcls.spec.show import differences, plain

    is_spec = [path.is_file() or path.suffix in (".yaml", ".yml") for path in (a, b)]
    paths = [p if is_file else open_run(p).spec_file for p, is_file in zip((a, b), is_spec, strict=True)]
    rows = differences(*(plain(load_spec(path).spec) for path in paths))
    if as_json:
        print_json([{"key": key, "a": left, "b": right} for key, left, right in rows])
        return
    if not rows:
        echo("no difference")
        return
    table = Table("setting", str(a), str(b), box=None)
    for key, left, right in rows:
        table.add_row(key, str(left), str(right))
    console().print(table)


@app.command()
def schema() -> None:
    """Print the JSON schema of a spec file."""
    from vidcls.spec.show import schema_text

    emit(schema_text())
