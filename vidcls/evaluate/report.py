"""Report of one evaluation: metrics, tables and the confusion matrix, in one folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from vidcls.drawing import Say, optional
from vidcls.evaluate.figures import draw_confusion
from vidcls.evaluate.metrics import ClassMetrics, Metrics
from vidcls.evaluate.prediction_tables import remove_tables, write_tables
from vidcls.evaluate.predictions import Predictions
from vidcls.files import write_json, write_text
from vidcls.text import printable, spreadsheet_cell

CONFUSION_PICTURE = "confusion.png"
METRICS_FILE = "metrics.json"
"""Last file of a report: if it exists, the report is complete."""


def write_report(
    predictions: Predictions,
    folder: Path,
    *,
    leak_state: str,
    checkpoint_digest: str | None = None,
    say: Say,
    complete: bool = True,
) -> Metrics:
    """Write `metrics.json`, `per_class.csv`, `confusion.csv`, `confusion.png` and `predictions.*`.

    Args:
        predictions: Predictions to report on.
        folder: Folder of the report, created if needed; files of an earlier report are replaced.
        leak_state: Leak state of the data, for the split.
        checkpoint_digest: Digest of the checkpoint file; None for a fusion, or if the file was removed.
        say: Receives a message about each table or figure that could not be written, which is no error.
        complete: Write `confusion.png` and the tables of predictions; if not, older ones are removed.

    Raises:
        VidclsError: If no video was scored, or logits are not finite.
    """
    metrics = predictions.metrics()
    split, classes = predictions.split, predictions.classes
    _write_csv(
        folder / "per_class.csv",
        [f.name for f in fields(ClassMetrics)],
        map(astuple, metrics.per_class),
        say=say,
    )
    counts = ((name, *row) for name, row in zip(classes, metrics.confusion.tolist(), strict=True))
    _write_csv(folder / "confusion.csv", ["true \\ predicted", *classes], counts, say=say)
    if not complete:
        (folder / CONFUSION_PICTURE).unlink(missing_ok=True)
        remove_tables(folder)
    else:
        write_tables(predictions, folder, say=say)
        _draw(predictions, metrics, folder, leak_state=leak_state, say=say)
    write_json(
        folder / METRICS_FILE,
        {
            "split": split,
            "checkpoint": predictions.checkpoint,
            "manifest_hash": predictions.manifest_hash,
            "checkpoint_digest": checkpoint_digest,
            "leak_state": leak_state,
            "num_videos": metrics.num_videos,
            "metrics": metrics.named(split),
            "unscored": predictions.unscored,
        },
    )
    return metrics


def _draw(predictions: Predictions, metrics: Metrics, folder: Path, *, leak_state: str, say: Say) -> None:
    draw_confusion(
        metrics.confusion,
        folder / CONFUSION_PICTURE,
        classes=predictions.classes,
        title=f"{predictions.split}, {predictions.checkpoint}: top-1 {metrics.top1:.1%} of "
        f"{metrics.num_videos} videos\nleak state of the data: {leak_state}",
        say=say,
    )


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, say: Say) -> None:
    with optional(path, say):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([_cell(content) for content in row] for row in (header, *rows))
        write_text(path, text.getvalue())


def _cell(content: object) -> object:
    return spreadsheet_cell(printable(content)) if isinstance(content, str) else content
