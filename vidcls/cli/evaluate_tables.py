"""Tables of `vidcls evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box

from vidcls.cli.common import echo, times
from vidcls.cli.output.screen import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vidcls.evaluate.metrics import Metrics
    from vidcls.evaluate.run_table import RunTable
    from vidcls.run.folder import Run

_COLUMNS = {"top1": "top-1", "top5": "top-5", "mean_class_acc": "class acc", "macro_f1": "macro F1"}


def table_of_runs(shown: RunTable) -> Table:
    """Table of runs; those with the highest val top-1 are in bold, as the caption says."""
    splits = ", ".join(dict.fromkeys(row.split for row in shown.rows))
    shows_val = splits == "val"
    table = Table(
        title=f"split: {splits}", caption=shown.note or None, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.title_justify = table.caption_justify = "left"
    table.add_column("run", overflow="fold")
    for name in ("videos", "loss", *_COLUMNS.values(), *(() if shows_val else ("val top-1",))):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("leak state", no_wrap=True)
    for row in shown.rows:
        shares = [row.metrics[name] for name in _COLUMNS] + ([] if shows_val else [row.val_top1])
        style = "bold" if row.label in shown.highest else None
        cells = (
            row.label,
            str(row.num_videos),
            f"{row.metrics['loss']:.3f}",
            *map(_percent, shares),
            row.leak_state,
        )
        table.add_row(*cells, style=style)
    return table


def class_table(metrics: Metrics, *, leak_state: str) -> Table:
    """Table of support, precision, recall and F1 of each class."""
    table = Table("class", box=None, title=f"leak state: {leak_state}", title_justify="left")
    for name in ("videos", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for row in metrics.per_class:
        values = (row.precision, row.recall, row.f1)
        table.add_row(row.name, str(row.support), *(_percent(value) for value in values))
    return table


def print_openings(runs: Iterable[Run], *, err: bool = False) -> None:
    """Print how often the test splits of runs were opened, and by how many configurations, a line for each.

    Args:
        runs: Runs whose test results are shown.
        err: Print to stderr, where stdout is a table for programs.
    """
    from vidcls.evaluate.ledger import ledgers_of

    for ledger, its_runs in ledgers_of(runs):
        repeats, num = ledger.num_repeats, ledger.num_configurations
        again = f" (in {repeats} of these, a stored result was shown again)" if repeats else ""
        by = f" by {num} configurations" if num > 1 else ""
        echo(
            f"the test split of this data was evaluated {times(ledger.count)} so far{by}{again}; "
            f"vidcls ledger {its_runs[0].folder} shows when",
            err=err,
        )


def openings_json(runs: Iterable[Run]) -> dict[str, dict[str, int]]:
    """How often the test split of each run was opened, by how many configurations, for scripts."""
    from vidcls.evaluate.ledger import ledgers_of

    of_run = {str(run.folder): ledger for ledger, its_runs in ledgers_of(runs) for run in its_runs}
    return {
        "test_openings": {name: ledger.count for name, ledger in of_run.items()},
        "test_configurations": {name: ledger.num_configurations for name, ledger in of_run.items()},
        "test_repeats": {name: ledger.num_repeats for name, ledger in of_run.items()},
    }


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
