"""`vidcls data doctor`: tries a data set of the user's own, and says what is wrong with it."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, console, print_json
from vidcls.cli.data.relations import StoreDirArg
from vidcls.cli.data.target import TargetArgs
from vidcls.errors import ExitCode
from vidcls.text import printable

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Screen
    from vidcls.data.doctor.examine import Examination


def doctor(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Your data set: module:Name or path/to/file.py:Name.")
    ],
    *,
    args: TargetArgs = None,
    num: Annotated[
        int, typer.Option(min=1, max=10_000, help="Number of items of each split to read several times.")
    ] = 32,
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Also make the test split, and look for its videos in train. Nothing is scored."
        ),
    ] = False,
    as_json: AsJson = False,
    store_dir: StoreDirArg = Path("store"),
) -> None:
    """Try a data set of your own, for data.target, and say what is wrong with it, with indices and numbers.

    Items are read under several random seeds and compared: order of the frames, random draws, flips, values,
    labels, shapes, copies between splits, time. Exit code 3 if something should be changed, else 0.
    """
    from vidcls.cli.data.target import section_of
    from vidcls.cli.output.progress import stages

    section = section_of(target, args)  # before torch is loaded
    from vidcls.data.doctor.examine import examine

    # What the user's code prints is no part of a report that a program may read.
    with redirect_stdout(sys.stderr), stages() as progress:
        found = examine(section, num=num, test=test, store_dir=store_dir, progress=progress)
    if as_json:
        print_json(found.as_dict())
    else:
        _show(found, console())
    if found.mistakes:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _show(found: Examination, screen: Screen) -> None:
    counts = ", ".join(f"{num} {split}" for split, num in found.num_items.items())
    tried = ", ".join(f"{num} {split}" for split, num in found.num_tried.items())
    screen.print(f"{found.target}: {counts} items; read several times: {tried}", soft_wrap=True)
    for finding in found.findings:
        style = "bold red" if finding.is_mistake else "dim"
        screen.print(finding.kind.replace("_", " "), style=style)
        screen.print(f"  {printable(finding.message)}", soft_wrap=True)
        if finding.advice:
            screen.print(f"  -> {printable(finding.advice)}", soft_wrap=True)
    num = len(found.mistakes)
    compared = ", ".join(f"{num} {split}" for split, num in found.num_compared.items())
    screen.print(f"compared with each other: {compared}", soft_wrap=True)
    screen.print(f"{num} finding{'s' if num > 1 else ''}" if num else "nothing wrong was found")
