"""`vidcls runs ls --by config`: a row for each configuration, with its mean over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vidcls.cli.common import say_left_out
from vidcls.cli.study.runs_table import RunsTable

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Table
    from vidcls.run.folder import Run

_OF_ONE_RUN = ("run", "state", "epoch", "num_epochs", "elapsed_s", "energy_j", "validated", "seed")
_CHOSEN = "val top-1 of the best checkpoints, which were chosen on val; 95 % interval over seeds and groups"
_ONE = "* one seed: the interval is about this checkpoint only, another seed may differ by more"

_UNGROUPED = "some videos have no known group (num_ungrouped of --json): each counts as a group of its own"


def configurations_table(runs: Sequence[Run]) -> RunsTable:
    """Rows of the configurations of runs; runs that are left out are named on stderr.

    Args:
        runs: Runs whose files are intact.
    """
    from vidcls.study.config_table import results_by_configuration

    results, left_out = results_by_configuration(runs)
    table = RunsTable(of_one_run=_OF_ONE_RUN)
    for result in results:
        table.add(result.as_dict(), dict(result.settings()))
    say_left_out(left_out)
    return table


def notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences about the meaning of the numbers."""
    is_single = any(row["one_checkpoint_only"] for row in rows)
    is_partial = any(row["num_ungrouped"] and row["num_groups"] is not None for row in rows)
    return [_CHOSEN, *([_ONE] if is_single else []), *([_UNGROUPED] if is_partial else [])]


def rendered(rows: Sequence[dict[str, Any]]) -> Table:
    """Rows as a table."""
    from rich.table import Column

    from vidcls.cli.output.screen import Table

    table = Table(
        Column("configuration", overflow="fold"),
        "seeds",
        "val top-1",
        Column("95 % interval", no_wrap=True),
        Column("leak state", no_wrap=True),
        "videos",
        "groups",
        box=None,
    )
    for row in rows:
        low, high = row["low"], row["high"]
        none = "one group" if row["num_groups"] == 1 else "nothing varied"
        interval = none if low is None else f"{low:.1%} to {high:.1%}"
        table.add_row(
            row["configuration"],
            str(row["num_seeds"]),
            f"{row['val_top1']:.1%}",
            f"{interval}{' *' if row['one_checkpoint_only'] else ''}",
            row["leak_state"],
            str(row["num_videos"]),
            "unknown" if row["num_groups"] is None else str(row["num_groups"]),
        )
    return table
