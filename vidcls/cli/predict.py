"""`vidcls predict`: predicts the classes of videos with a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import AsJson, console, emit, print_json, say
from vidcls.errors import ExitCode, UserError
from vidcls.process.signals import Signals
from vidcls.text import csv_path, printable, spreadsheet_cell

if TYPE_CHECKING:
    from vidcls.predict.prediction import Prediction


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    videos: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO|FOLDER...", help="Video files, folders of frames, or folders with videos."
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of classes shown for each video.")] = 5,
    checkpoint: Annotated[
        Literal["best", "last"], typer.Option(help="Checkpoint whose weights are used.")
    ] = "best",
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; default: a GPU if there is one.")
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV in UTF-8: path,rank,class,probability.")
    ] = False,
) -> None:
    """Predict the classes of videos. Videos that cannot be read are named and skipped (exit code 3)."""
    if as_json and as_csv:
        raise UserError("--json and --csv cannot be given together")

    from vidcls.runs import Run

    Run.open(run).existing_checkpoint(checkpoint)
    for path in videos:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")

    from vidcls.data.decoding.workers import start_early

    start_early()

    import vidcls
    from vidcls.cli.output.display import open_display

    predictor = vidcls.load(run, checkpoint=checkpoint, device=device)
    with Signals() as signals, open_display() as display:
        predictions = predictor.predict(videos, progress=signals.heeding(display.stage))
    if as_json:
        print_json([_plain(prediction, top) for prediction in predictions])
    elif as_csv:
        _print_csv(predictions, top)
    else:
        _print_table(predictions, top)
    bad = [prediction for prediction in predictions if prediction.error]
    for prediction in bad:
        say(f"{printable(prediction.name)}: {prediction.error}")
    if bad:
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _ranked(prediction: Prediction, top: int) -> list[tuple[str, float]]:
    return list(zip(prediction.classes[:top], prediction.probabilities[:top], strict=True))


def _plain(prediction: Prediction, top: int) -> dict[str, object]:
    ranked = [{"class": name, "probability": value} for name, value in _ranked(prediction, top)]
    return {"path": prediction.name, "top": ranked, "error": prediction.error}


def _print_csv(predictions: list[Prediction], top: int) -> None:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "rank", "class", "probability"))
    for prediction in predictions:
        path = csv_path(prediction.name)
        for rank, (name, value) in enumerate(_ranked(prediction, top), start=1):
            writer.writerow((path, rank, spreadsheet_cell(printable(name)), f"{value:.6f}"))
    emit(text.getvalue())


def _print_table(predictions: list[Prediction], top: int) -> None:
    from rich.table import Column

    from vidcls.cli.output.screen import Table, styled

    table = Table(Column("video", overflow="fold"), "prediction", box=None)
    for prediction in predictions:
        answers = "  ".join(f"{name} {value:.1%}" for name, value in _ranked(prediction, top))
        table.add_row(prediction.name, answers or styled("not readable", "red"))
    console().print(table)
