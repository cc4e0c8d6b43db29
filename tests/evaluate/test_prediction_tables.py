"""The tables of predictions say what the stored logits say, whatever the names are, and drop no video."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.parquet import read_table
from typer.testing import CliRunner

from tests.support.awkward import BROKEN, CLASSES, copied
from vidcls.cli import app
from vidcls.evaluate.prediction_tables import probability_columns
from vidcls.evaluate.predictions import Predictions, load_predictions
from vidcls.evaluate.report import write_report
from vidcls.run.folder import Run
from vidcls.text import from_spreadsheet_cell

FACTS = ["video", "true", "predicted", "correct", "group", "error"]
COLUMNS = [*FACTS, *(f"p:{name}" for name in CLASSES)]


def report_of(run: Run) -> Path:
    return run.report_dir("val", "best")


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits.astype(np.float64))
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def test_a_parquet_file_reads_back_as_the_stored_logits(awkward: Run) -> None:
    stored = load_predictions(awkward.predictions_file("val", "best"))
    table = read_table(report_of(awkward) / "predictions.parquet")
    assert table.schema.names == COLUMNS
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    assert [types[name] for name in FACTS] == [pa.bool_() if n == "correct" else pa.string() for n in FACTS]
    assert {types[name] for name in COLUMNS[6:]} == {pa.float32()}
    rows = table.to_pylist()
    *scored, last = rows
    assert [row["video"] for row in scored] == list(stored.ids)
    probabilities = np.array([[row[name] for name in COLUMNS[6:]] for row in scored])
    np.testing.assert_allclose(probabilities, softmax(stored.logits), rtol=1e-6)
    assert [row["true"] for row in scored] == [CLASSES[label] for label in stored.labels]
    assert [row["predicted"] for row in scored] == [CLASSES[k] for k in stored.logits.argmax(axis=1)]
    assert [row["correct"] for row in scored] == (stored.logits.argmax(axis=1) == stored.labels).tolist()
    assert [row["group"] for row in scored] == [f"g{label}1" for label in stored.labels]
    assert {row["error"] for row in scored} == {None}
    assert (last["video"], last["true"], last["group"]) == (BROKEN, CLASSES[0], "alone")
    assert last["error"] == stored.unscored[BROKEN]
    assert {last[name] for name in ("predicted", "correct", *COLUMNS[6:])} == {None}


def test_the_csv_has_the_same_values_and_no_formula(awkward: Run) -> None:
    rows = csv_rows(report_of(awkward) / "predictions.csv")
    whole = read_table(report_of(awkward) / "predictions.parquet").to_pylist()
    assert list(rows[0]) == COLUMNS
    cells = {cell for row in (rows[0].keys(), *(row.values() for row in rows)) for cell in row}
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]

    def read(name: str, cell: str) -> Any:
        if cell == "" or name == "correct":
            return {"": None, "true": True, "false": False}[cell]
        return float(np.float32(cell)) if name.startswith("p:") else from_spreadsheet_cell(cell)

    assert [{name: read(name, cell) for name, cell in row.items()} for row in rows] == whole


def test_a_report_without_tables_gets_them_when_it_is_shown_again(awkward: Run, tmp_path: Path) -> None:
    run = copied(awkward, tmp_path)
    files = [report_of(run) / f"predictions.{ending}" for ending in ("csv", "parquet")]
    before = [file.read_bytes() for file in files]
    files[1].unlink()
    done = CliRunner().invoke(app, ["evaluate", str(run.folder)])
    assert done.exit_code == 3, done.output  # of the video that cannot be read
    assert [file.read_bytes() for file in files] == before


def test_a_report_that_is_cut_short_keeps_no_older_tables(awkward: Run, tmp_path: Path) -> None:
    stored = load_predictions(awkward.predictions_file("val", "best"))
    for complete in (True, False):
        write_report(stored, tmp_path, leak_state="clean", say=print, complete=complete)
        assert {file.name for file in tmp_path.glob("predictions.*")} == (
            {"predictions.csv", "predictions.parquet"} if complete else set()
        )


def test_names_that_cannot_be_told_apart_are_numbered() -> None:
    assert probability_columns(["a\x1b", "b", "a\\x1b"]) == ["p:0:a\\x1b", "p:b", "p:2:a\\x1b"]


@pytest.mark.parametrize("name", ["caf\udce9", "中文", "a\nb"])
def test_names_that_are_not_utf8_are_escaped_in_both_files(name: str, tmp_path: Path) -> None:
    predictions = Predictions(
        ids=(f"{name}.avi",),
        labels=np.array([0]),
        groups=(name,),
        views=np.array([1]),
        logits=np.array([[2, 1]], dtype=np.float32),
        classes=(name, "other"),
        split="val",
        checkpoint="best",
        epoch=1,
        manifest_hash="abc",
    )
    write_report(predictions, tmp_path, leak_state="clean", say=print)
    (row,) = read_table(tmp_path / "predictions.parquet").to_pylist()
    shown = name.replace("\udce9", r"\xe9")
    assert (row["video"], row["group"], row["true"]) == (f"{shown}.avi", shown, shown)
    (cells,) = csv_rows(tmp_path / "predictions.csv")
    assert cells["video"] == f"{shown}.avi".replace("\n", r"\n")
    assert list(cells)[6:] == list(row)[6:]
