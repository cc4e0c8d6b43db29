"""Predictions of each video as tables for other programs: `predictions.csv` and `predictions.parquet`.

One row per video, the same columns in both files:

    video      id of the video
    true       true class
    predicted  class with the highest logit
    correct    whether they are the same
    group      source from which the video was cut; empty if it is not known
    error      reason why the video could not be scored; empty for a scored video
    p:<class>  softmax probability of a class, float32, one column per class in label order

A video that could not be scored has no prediction and comes last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vidcls.drawing import Say, optional
from vidcls.evaluate.metrics import softmax, top_classes
from vidcls.evaluate.predictions import Predictions
from vidcls.tables import Block, Kind, Table, write_csv, write_parquet
from vidcls.text import printable

CSV_FILE = "predictions.csv"
PARQUET_FILE = "predictions.parquet"
COLUMNS: Mapping[str, Kind] = {
    "video": "text",
    "true": "text",
    "predicted": "text",
    "correct": "bool",
    "group": "text",
    "error": "text",
}


def has_tables(folder: Path) -> bool:
    """Whether a report has both tables."""
    return (folder / CSV_FILE).exists() and (folder / PARQUET_FILE).exists()


def remove_tables(folder: Path) -> None:
    """Remove the tables of a report, if it has them."""
    for name in (CSV_FILE, PARQUET_FILE):
        (folder / name).unlink(missing_ok=True)


def write_tables(predictions: Predictions, folder: Path, *, say: Say) -> None:
    """Write both tables of a report.

    Args:
        predictions: Predictions of a split.
        folder: Folder of the report.
        say: Receives a message about a table that could not be written, which is no error.
    """
    names = probability_columns(predictions.classes)
    kinds: dict[str, Kind] = {**COLUMNS, **dict.fromkeys(names, "float32")}
    table = Table(kinds, prediction_blocks(predictions))
    for name, write in ((CSV_FILE, write_csv), (PARQUET_FILE, write_parquet)):
        with optional(folder / name, say):
            write(table, folder / name)


def prediction_blocks(predictions: Predictions) -> list[Block]:
    """Rows of the table of predictions: those of scored videos, then the others."""
    classes, ids = predictions.classes, predictions.ids
    probabilities = softmax(predictions.logits).astype(np.float32)
    predicted = top_classes(predictions.logits, k=1)[:, 0].tolist()
    labels = predictions.labels.tolist()
    scored: dict[str, Sequence[object]] = {
        "video": ids,
        "true": [classes[label] for label in labels],
        "predicted": [classes[label] for label in predicted],
        "correct": [a == b for a, b in zip(predicted, labels, strict=True)],
        "group": [group or None for group in predictions.groups],
    }
    scored |= dict(zip(probability_columns(classes), probabilities.T, strict=True))
    others = predictions.unscored_videos
    if not others:
        return [scored]
    unscored: Block = {
        "video": [video.id for video in others],
        "true": [classes[video.label] for video in others],
        "group": [video.group or None for video in others],
        "error": [video.reason for video in others],
    }
    return [scored, unscored]


def probability_columns(classes: Sequence[str]) -> list[str]:
    """Names of the columns of probabilities, all different, in label order: `p:` and the class.

    The prefix separates classes from other columns and keeps spreadsheets from running them as formulas. Of
    classes that only differ in letters that cannot be shown, the label is named too: `p:3:<class>`.
    """
    shown = [printable(name) for name in classes]
    count = Counter(shown)
    return [f"p:{name}" if count[name] == 1 else f"p:{label}:{name}" for label, name in enumerate(shown)]
