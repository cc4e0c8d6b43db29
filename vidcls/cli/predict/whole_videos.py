"""Predictions of whole videos, as a table, JSON or CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidcls.cli.common import console, emit
from vidcls.text import csv_path, printable, spreadsheet_cell

if TYPE_CHECKING:
    from vidcls.predict.prediction import Prediction


def plain(prediction: Prediction, top: int) -> dict[str, object]:
    """Prediction for a JSON file."""
    ranked = [{"class": name, "probability": value} for name, value in _ranked(prediction, top)]
    return {"path": prediction.name, "top": ranked, "error": prediction.error}


def print_csv(predictions: list[Prediction], top: int) -> None:
    """Print a row for each class of each video."""
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


def print_table(predictions: list[Prediction], top: int) -> None:
    """Print a row for each video."""
    from rich.table import Column

    from vidcls.cli.output.screen import Table, styled

    table = Table(Column("video", overflow="fold"), "prediction", box=None)
    for prediction in predictions:
        answers = "  ".join(f"{name} {value:.1%}" for name, value in _ranked(prediction, top))
        table.add_row(prediction.name, answers or styled("not readable", "red"))
    console().print(table)


def _ranked(prediction: Prediction, top: int) -> list[tuple[str, float]]:
    return list(zip(prediction.classes[:top], prediction.probabilities[:top], strict=True))
