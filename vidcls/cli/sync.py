"""`vidcls sync`: uploads runs to Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcls.cli.common import AsJson, print_json, say

if TYPE_CHECKING:
    from vidcls.run.folder import Run
    from vidcls.tracking.sync import Confusion


def sync(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs, or of a sweep for all its trials."),
    ],
    as_json: AsJson = False,
) -> None:
    """Upload runs to Weights & Biases from their folders, completely and without duplicates.

    For runs that were recorded offline, or whose upload was interrupted. The command may be repeated at any
    time. Runs that are being trained are left out.

    Exit codes: 0 done, 1 nothing could be sent, 2 a mistake in the request, 3 some runs could not be sent.
    """
    from vidcls.errors import ExitCode
    from vidcls.run.find import open_runs
    from vidcls.tracking.sync import check_login

    runs = open_runs(folders)
    check_login()
    results = []
    for run in runs:
        results.append(result := _sync(run))
        say(f"{run.folder}: {result['state']}{': ' if result['detail'] else ''}{result['detail']}")
    if as_json:
        print_json(results)
    num_failed = sum(result["state"] == "failed" for result in results)
    if num_failed:
        raise typer.Exit(int(ExitCode.FAILED if num_failed == len(results) else ExitCode.PARTLY_DONE))


def _sync(run: Run) -> dict[str, Any]:
    from vidcls.errors import VidclsError
    from vidcls.leaks.run_state import leaks_of
    from vidcls.tracking.sync import upload

    row: dict[str, Any] = {"run": str(run.folder), "wandb": []}
    try:
        if run.state in ("new", "running"):
            return {**row, "state": "left out", "detail": f"the run is {run.state}"}
        places = upload(run, leak_state=str(leaks_of(run)), confusion=_confusion(run))
    except VidclsError as error:
        return {**row, "state": "failed", "detail": error.message}
    return {**row, "wandb": places, "state": "uploaded", "detail": " ".join(places)}


def _confusion(run: Run) -> Confusion | None:
    """Confusion matrix from the stored predictions; None if there are no readable ones."""
    from vidcls.errors import VidclsError
    from vidcls.evaluate.predictions import load_predictions
    from vidcls.tracking.sync import Confusion

    try:
        predictions = load_predictions(run.predictions_file("val", "best"))
        return Confusion(predictions.metrics().confusion, predictions.classes)
    except VidclsError:
        return None
