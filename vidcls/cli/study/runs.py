"""`vidcls runs`: lists runs, their progress, and the settings in which they differ; exports them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vidcls.cli.common import AsJson, console, echo, emit, print_json, say
from vidcls.cli.study.runs_by_config import configurations_table, notes, rendered
from vidcls.cli.study.runs_export import export
from vidcls.cli.study.runs_table import RunsTable, part_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vidcls.run.folder import Run

app = typer.Typer(no_args_is_help=True, help="List runs, show details of one run, or export all as a table.")
app.command()(export)


@app.command()
def ls(
    folder: Annotated[Path, typer.Argument(help="Folder of runs.")] = Path("runs"),
    show_all: Annotated[
        bool, typer.Option("--all", help="Also list trials of sweeps and the runs of crossval and leak.")
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Sort by a value or setting; --sort=-KEY: largest first."),
    ] = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="Only list matching runs; also with != < <= > >=. Repeatable.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="KEY,KEY...", help="Columns to show, such as run,val_top1,optim.lr,val/loss."),
    ] = None,
    by: Annotated[
        Literal["config"] | None,
        typer.Option(help="One row per configuration: mean over its seeds, interval, leak state."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs with state, val top-1, epochs, time, and the settings that differ between them."""
    from vidcls.errors import UserError
    from vidcls.run.find import find_runs

    runs = find_runs(folder)
    if not runs and not folder.is_dir():
        raise UserError(f"{folder}: no such folder", hint="vidcls runs ls FOLDER, the runs_dir of your specs")
    rows, hidden = _listed(runs, folder, show_all=show_all)
    table = _runs_table(rows) if by is None else configurations_table(list(rows))
    table.choose(conditions or [])
    if sort is not None:
        table.sort(sort)
    chosen = None if columns is None else table.columns([name.strip() for name in columns.split(",")])
    if as_json:
        print_json(table.rows if chosen is None else chosen)
        return
    if table.rows and chosen is None and by is not None:
        console().print(rendered(table.rows))
        for note in notes(table.rows):
            echo(note)
    else:
        what = "matches --filter" if conditions else "is finished and has stored val predictions"
        nothing = f"none of {len(rows)} runs {what}" if rows else f"no runs below {folder}"
        console().print(_rendered(table.rows, chosen) if table.rows else nothing)
    if hidden:
        kinds = {"sweep": "trials of sweeps", "study": "runs of studies"}
        say(f"not shown: {', '.join(f'{n} {kinds[kind]}' for kind, n in hidden.items())}; --all shows them")


def _listed(
    runs: list[Run], folder: Path, *, show_all: bool
) -> tuple[dict[Run, dict[str, Any]], Counter[str]]:
    """Row of each run that is listed, and how many are not; a damaged run is named."""
    from vidcls.errors import VidclsError

    rows: dict[Run, dict[str, Any]] = {}
    hidden: Counter[str] = Counter()
    for run in runs:
        try:
            part = None if show_all else part_of(run, folder)
            if part is None:
                rows[run] = _row(run)
            else:
                hidden[part] += 1
        except VidclsError as error:
            say(f"{run.folder}: left out: {error.message}")
    return rows, hidden


def _runs_table(rows: dict[Run, dict[str, Any]]) -> RunsTable:
    from vidcls.evaluate.stored import differences_of

    table = RunsTable()
    for (run, row), varying in zip(rows.items(), differences_of(list(rows)), strict=True):
        table.add({**row, "differences": varying}, _known(run))
    return table


def _rendered(rows: list[dict[str, Any]], chosen: list[dict[str, Any]] | None) -> RenderableType:
    from rich.table import Column

    from vidcls.cli.output import screen

    if chosen is not None:
        shown = screen.Table(*(Column(name, overflow="fold") for name in chosen[0]), box=None)
        for row in chosen:
            shown.add_row(*("" if value is None else str(_short(value)) for value in row.values()))
        return shown
    shown = screen.Table(
        Column("run", overflow="fold"),
        "state",
        "val top-1",
        Column("leak state", no_wrap=True),
        "epochs",
        "time",
        "differences",
        box=None,
    )
    for row in rows:
        top1 = row["val_top1"]
        shown.add_row(
            row["run"],
            row["state"],
            row["validated"] if top1 is None else f"{top1:.1%}",
            row["leak_state"],
            f"{row['epoch']}/{row['num_epochs']}",
            f"{row['elapsed_s'] / 60:.1f} min",
            " ".join(f"{key}={value}" for key, value in row["differences"].items()),
        )
    return shown


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _known(run: Run) -> dict[str, Any]:
    """Settings and metrics of a run, by name."""
    from vidcls.evaluate.stored import settings_of

    status = run.status()
    return {**settings_of(run), **(status.metrics if status else {})}


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    open_page: Annotated[
        bool, typer.Option("--open", help="Also make a page of the run and open it in a browser.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one run: state, best metrics, code and machine, files."""
    from vidcls.run.find import open_run
    from vidcls.run.settings import RECORD

    found = open_run(run)
    status = found.status()
    content = {
        **_row(found),
        "message": status.message if status else "",
        "best_epoch": status.best_epoch if status else None,
        "metrics": status.metrics if status else {},
        "provenance": {key: value for key, value in found.provenance().items() if key != RECORD},
        "files": sorted(str(p.relative_to(found.folder)) for p in found.folder.rglob("*") if p.is_file()),
    }
    if open_page:
        _open_page(found)
    if as_json:
        print_json(content)
        return
    from vidcls.spec.show import yaml_text

    content["files"] = [name for name in content["files"] if not name.startswith("wandb/")]
    emit(yaml_text(content))


def _open_page(run: Run) -> None:
    """Make the report of one run in its folder and open it."""
    import webbrowser

    from vidcls.cli.output.progress import stages
    from vidcls.study.report.build import write_report
    from vidcls.study.report.material import ReportRequest

    with stages() as progress:
        written = write_report(
            [run], run.folder / "report" / "page", ReportRequest(), say=say, progress=progress
        )
    say(f"wrote {written.page}")
    if not webbrowser.open(written.page.absolute().as_uri()):
        say("no browser here: copy this file, which needs no other, to a machine that has one")


def _row(run: Run) -> dict[str, Any]:
    from vidcls.leaks.run_state import leaks_of

    status, spec = run.status(), run.spec()
    return {
        "run": str(run.folder),
        "state": run.state,
        "val_top1": status.metrics.get("val/top1") if status else None,
        "validated": "unvalidated" if spec.data.join_val else "",
        "leak_state": str(leaks_of(run)),
        "epoch": status.epoch if status else 0,
        "num_epochs": spec.train.num_epochs,
        "elapsed_s": status.elapsed_s if status else 0.0,
        "energy_j": status.energy_j if status else None,
    }
