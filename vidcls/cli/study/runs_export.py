"""`vidcls runs export`: writes runs, their epochs or their predictions as one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import Force, emit, refuse_overwrite, say, say_left_out
from vidcls.errors import ExitCode, UserError, VidclsError

if TYPE_CHECKING:
    from vidcls.run.folder import Run
    from vidcls.study.runs_export import ReadRun
    from vidcls.tables import Table


def export(
    folder: Annotated[Path, typer.Argument(help="Folder of runs, or one run.")] = Path("runs"),
    to: Annotated[Literal["csv", "parquet"], typer.Option(help="Format of the table.")] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; default: CSV on standard output, in UTF-8."),
    ] = None,
    per_epoch: Annotated[
        bool, typer.Option("--per-epoch", help="One row per run and epoch, with the metrics of the epoch.")
    ] = False,
    per_video: Annotated[
        bool,
        typer.Option("--per-video", help="One row per run and video, from stored predictions (best.pt)."),
    ] = False,
    split: Annotated[
        Literal["val", "test"] | None,
        typer.Option(help="Split for --per-video; default: val. Every look at test is recorded in a ledger."),
    ] = None,
    force: Force = False,
) -> None:
    """Write all runs as one tidy table: settings, metrics, state, data, code and machine, one row per run.

    Trials of sweeps and runs of studies are included. Numbers are numbers, and what a run does not have is
    empty. No test results are included, except with --split test those that are stored.

    Exit code 3 if a run is left out, or the trials of a sweep cannot be read; they are named.
    """
    if per_epoch and per_video:
        raise UserError("--per-epoch and --per-video cannot be given together", hint="write two tables")
    if split is not None and not per_video:
        raise UserError("--split: has no effect without --per-video", hint="add --per-video, or leave it out")
    if to == "parquet" and out is None:
        raise UserError("--to parquet needs a file", hint="add --out runs.parquet")
    refuse_overwrite(out, option="--out", force=force)
    from vidcls.study.runs_export import epochs_table, runs_table, videos_table
    from vidcls.sweep.find import trial_facts

    runs, left_out = _read(folder)
    missing: dict[Run, str] = {}
    problems: list[str] = []
    if per_video:
        table, missing = videos_table(runs, split=split or "val")
    elif per_epoch:
        table, missing = epochs_table(runs)
    else:
        table = runs_table(runs, in_sweep=trial_facts([each.run for each in runs], say=problems.append))
    _write(table, to=to, out=out)
    left_out |= missing
    if split == "test":
        from vidcls.cli.evaluate_tables import print_openings

        print_openings([each.run for each in runs if each.run not in missing], err=True)
    if out is not None:
        say(f"wrote {out}: {len(runs) - len(missing)} run(s), {len(table.kinds)} columns")
    say_left_out(left_out)
    for problem in problems:
        say(problem)
    if left_out or problems:
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _read(folder: Path) -> tuple[list[ReadRun], dict[Run, str]]:
    """Runs below a folder, and why damaged ones are left out."""
    from vidcls.run.find import open_runs
    from vidcls.study.runs_export import ReadRun

    runs: list[ReadRun] = []
    left_out: dict[Run, str] = {}
    for run in open_runs([folder]):
        try:
            runs.append(ReadRun.of(run))
        except VidclsError as error:
            left_out[run] = error.message
    return runs, left_out


def _write(table: Table, *, to: Literal["csv", "parquet"], out: Path | None) -> None:
    from vidcls.tables import csv_lines, write_csv, write_parquet

    if out is None:
        for lines in csv_lines(table):
            emit(lines)
        return
    try:
        (write_csv if to == "csv" else write_parquet)(table, out)
    except OSError as error:
        raise UserError(f"--out: cannot write {out}: {error.strerror or error}") from error
