"""`vidcls runs`: what was trained, how far it is, how runs differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcls.cli.common import AsJson, console, emit, print_json, say

if TYPE_CHECKING:
    from vidcls.runs import Run

app = typer.Typer(no_args_is_help=True, help="List runs and show what is known of one.")


@app.command()
def ls(
    folder: Annotated[Path, typer.Argument(help="Folder of runs.")] = Path("runs"), as_json: AsJson = False
) -> None:
    """List runs: state, val top-1, epochs, time, and the settings in which they differ."""
    from rich.table import Column

    from vidcls.cli.screen import Table
    from vidcls.errors import UserError, VidclsError
    from vidcls.evaluate.stored import differences_of
    from vidcls.runs import find_runs

    runs = find_runs(folder)
    if not runs and not folder.is_dir():
        raise UserError(f"{folder}: no such folder", hint="vidcls runs ls FOLDER, the runs_dir of your specs")
    rows, readable = [], []
    for run in runs:
        try:
            rows.append(_row(run))
            readable.append(run)
        except VidclsError as error:
            say(f"{run.folder}: left out: {error.message}")
    for row, varying in zip(rows, differences_of(readable), strict=True):
        row["differences"] = varying
    if as_json:
        print_json(rows)
        return
    table = Table(
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
        table.add_row(
            row["run"],
            row["state"],
            "" if top1 is None else f"{top1:.1%}",
            row["leak_state"],
            f"{row['epoch']}/{row['num_epochs']}",
            f"{row['elapsed_s'] / 60:.1f} min",
            " ".join(f"{key}={value}" for key, value in row["differences"].items()),
        )
    console().print(table if rows else f"no runs below {folder}")


@app.command()
def show(run: Annotated[Path, typer.Argument(help="Folder of a run.")], as_json: AsJson = False) -> None:
    """Show one run: state, best metrics, code and machine, files."""
    from vidcls.runs import Run

    found = Run.open(run)
    status = found.status()
    content = {
        **_row(found),
        "message": status.message if status else "",
        "best_epoch": status.best_epoch if status else None,
        "metrics": status.metrics if status else {},
        "provenance": found.provenance(),
        "files": sorted(str(p.relative_to(found.folder)) for p in found.folder.rglob("*") if p.is_file()),
    }
    if as_json:
        print_json(content)
        return
    from vidcls.spec.show import yaml_text

    content["files"] = [name for name in content["files"] if not name.startswith("wandb/")]
    emit(yaml_text(content))


def _row(run: Run) -> dict[str, Any]:
    from vidcls.evaluate.leaks import leaks_of

    status = run.status()
    return {
        "run": str(run.folder),
        "state": run.state,
        "val_top1": status.metrics.get("val/top1") if status else None,
        "leak_state": str(leaks_of(run)),
        "epoch": status.epoch if status else 0,
        "num_epochs": run.spec().train.epochs,
        "elapsed_s": status.elapsed_s if status else 0.0,
    }
