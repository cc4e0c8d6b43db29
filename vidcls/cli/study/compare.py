"""`vidcls compare`: says which differences between configurations are real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vidcls.cli.common import (
    AcrossData,
    AsJson,
    ComparedRuns,
    Force,
    StoredCheckpoint,
    StoredSplit,
    console,
    echo,
    emit,
    print_json,
    refuse_overwrite,
    say,
)
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Table
    from vidcls.run.folder import Run
    from vidcls.study.compare.results import Comparison
    from vidcls.study.compare.tables import Grid

Margin = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=100, help="Points that do not matter; the verdict may be `equivalent within` them."
    ),
]
Deciding = Annotated[Literal["top1", "mean_class_acc", "macro_f1"], typer.Option(help="Score that decides.")]
PerClass = Annotated[
    bool, typer.Option("--per-class", help="Show each class, of two configurations or of the best two.")
]
LatexFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the tables for LaTeX (booktabs); - prints them.")
]
CsvFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write all numbers as one table; - prints it.")
]
_MAX_ROWS = 40
_STDOUT = Path("-")


def compare(
    runs: ComparedRuns,
    split: StoredSplit = "val",
    checkpoint: StoredCheckpoint = "best",
    metric: Deciding = "top1",
    margin: Margin = None,
    across_data: AcrossData = False,
    per_class: PerClass = False,
    latex: LatexFile = None,
    csv: CsvFile = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Say which configuration is better, by how much and how sure, or that it is a tie.

    Runs that differ only by their seed are repeats of one configuration. Everything comes from stored
    predictions on the same videos: no model is loaded, nothing is scored. Seeds and groups of videos both
    count as samples; a run that stands alone speaks for its checkpoint only. A tie means that the evidence
    excludes a difference beyond 5 points.

    Exit code 3 if no run has scored some of the videos.
    """
    _refuse_outputs(latex, csv, as_json=as_json, force=force)
    from vidcls.cli.study.named_runs import chosen_in_sweeps, named_runs

    found = named_runs(list(map(str, runs)), say=say)
    from vidcls.study.compare.of_runs import Request, compare_runs

    request = Request(
        split=split,
        checkpoint=checkpoint,
        metric=metric,
        margin=None if margin is None else margin / 100,
        across_data=across_data,
        chosen=chosen_in_sweeps(found),
    )
    result = compare_runs(found, request)
    content = result.as_dict()
    _write(content, latex, csv, per_class=per_class)
    if as_json:
        print_json(content)
    elif _STDOUT not in (latex, csv):
        _render(result, found, content, per_class=per_class)
    if result.unscored:
        for name, why in result.unscored.items():
            say(f"{name}: not scored: {why}")
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _refuse_outputs(latex: Path | None, csv: Path | None, *, as_json: bool, force: bool) -> None:
    """Refuse two results on stdout, and files that exist."""
    asked = {"--json": as_json, "--latex -": latex == _STDOUT, "--csv -": csv == _STDOUT}
    if len(printed := [name for name, is_asked in asked.items() if is_asked]) > 1:
        raise UserError(
            f"{' and '.join(printed)}: only one of them can be printed", hint="name a file for one"
        )
    files = {"--latex": latex, "--csv": csv}
    named = {option: path for option, path in files.items() if path not in (None, _STDOUT)}
    if not named:
        refuse_overwrite(None, option="--latex FILE or --csv FILE", force=force)
    for option, path in named.items():
        refuse_overwrite(path, option=option, force=force)


def _write(content: dict[str, Any], latex: Path | None, csv: Path | None, *, per_class: bool) -> None:
    from vidcls.files import write_text
    from vidcls.study.compare import tables

    texts = {}
    if latex is not None:
        texts[latex] = tables.latex(content, per_class=per_class)
    if csv is not None:
        texts[csv] = tables.csv_text(content)
    for path, text in texts.items():
        if path == _STDOUT:
            emit(text)
            continue
        try:
            write_text(path, text)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error
        say(f"wrote {path}")


def _render(result: Comparison, runs: list[Run], content: dict[str, Any], *, per_class: bool) -> None:
    from vidcls.study.compare.tables import grids

    echo(f"{content['verdict']}\n")
    screen = console()
    for grid in grids(content, per_class=per_class):
        echo(grid.title)  # a title of the table would be folded at its width
        screen.print(_table(grid))
        if len(grid.rows) > _MAX_ROWS:
            echo(f"and {len(grid.rows) - _MAX_ROWS} more rows; --json and --csv have all\n")
    for remark in result.remarks:
        echo(f"- {remark}")
    if result.looks:
        from vidcls.cli.evaluate_tables import print_openings

        print_openings(runs)


def _table(grid: Grid) -> Table:
    from rich import box

    from vidcls.cli.output.screen import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, header in zip(grid.columns, grid.headers, strict=True):
        table.add_column(header, justify="right" if name.startswith(">") else "left")
    for row in grid.rows[:_MAX_ROWS]:
        table.add_row(*row)
    return table
