"""`vidcls ledger`: shows who opened which test split when, and for which configurations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, console, echo, print_json

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Table
    from vidcls.study.looks import SplitLooks


def ledger(
    where: Annotated[
        Path | None,
        typer.Argument(
            help="Run, folder of runs, spec file, store folder or ledger file; default: runs/ and store/."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who opened the sealed test split of which data, when, and for which configurations.

    Every look chooses a little: the more configurations were scored on test, the more the best of them
    is flattered. A repeated look showed a stored result again.
    """
    from vidcls.study.looks import find_ledgers, looks_at

    splits = [looks_at(one, runs) for one, runs in find_ledgers(where)]
    if as_json:
        print_json([split.as_dict() for split in splits])
        return
    for split in splits:
        echo(_summary(split))
        if split.looks:
            console().print(_table(split))


def _summary(split: SplitLooks) -> str:
    short = split.manifest_hash[:12]
    name = f"{split.data} ({short})" if split.data else f"the data {short}"
    if not split.num_looks:
        return f"{name}: its test split was never opened"
    text = f"{name}: {_count(split.num_looks, 'look')} at its test split"
    text += f" by {_count(split.num_configurations, 'configuration')}"
    if split.since:
        text += f" since {split.since}"
    if split.num_repeats:
        text += f", {split.num_repeats} of them at stored results again"
    if torn := split.num_unreadable:
        text += f"; {_count(torn, 'line')} of {split.ledger} cannot be read, each counted as one of another"
        text += " configuration"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _table(split: SplitLooks) -> Table:
    from rich import box
    from rich.table import Column

    from vidcls.cli.output.screen import Table

    table = Table(
        Column("opened", no_wrap=True),
        "by",
        Column("configuration", overflow="fold"),
        "checkpoint",
        Column("look", no_wrap=True),
        Column("run", overflow="fold"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for look in split.looks:
        when = look.when.replace("T", " ").removesuffix("+00:00")
        again = "again" if look.repeated else "new"
        table.add_row(when, look.who, look.label, look.checkpoint, again, look.run)
    return table
