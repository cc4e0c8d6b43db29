"""The report's folder, and the pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluate.test_run_table import evaluation
from vidcls.evaluate.figures import draw_confusion, draw_run_table, most_confused
from vidcls.evaluate.predictions import Predictions, UnscoredVideo
from vidcls.evaluate.report import write_report
from vidcls.evaluate.run_table import run_table


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def test_a_report_says_the_same_in_every_file(tmp_path: Path) -> None:
    predictions = Predictions(
        ids=("a", "b", "c"),
        labels=np.array([0, 0, 1]),
        logits=np.array([[3, 1, 0], [0, 1, 0], [0, 2, 1]], dtype=np.float32),
        classes=("up, fast", "down", "still"),
        split="val",
        checkpoint="best",
        epoch=1,
        manifest_hash="abc",
        groups=("", "g", "g"),
        views=np.array([1, 1, 1]),
        unscored_videos=(UnscoredVideo("d", "no frame", 0),),
    )
    metrics = write_report(predictions, tmp_path / "report" / "val-best", leak_state="leaky 92 %", say=print)
    files = {path.name: path for path in (tmp_path / "report" / "val-best").iterdir()}
    tables = {"per_class.csv", "confusion.csv", "predictions.csv", "predictions.parquet"}
    assert set(files) == {"metrics.json", "confusion.png", *tables}
    numbers = json.loads(files["metrics.json"].read_text())
    assert numbers["metrics"] == metrics.named("val")
    assert numbers["metrics"]["val/top1"] == pytest.approx(2 / 3)
    assert numbers["unscored"] == {"d": "no frame"}
    assert numbers["leak_state"] == "leaky 92 %"
    with files["confusion.csv"].open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[1:] == [row[0] for row in rows] == list(predictions.classes)
    assert [[int(cell) for cell in row[1:]] for row in rows] == metrics.confusion.tolist()
    with files["per_class.csv"].open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["support"] for row in table] == ["2", "1", "0"]
    assert table[2]["recall"] == ""
    assert min(_size(files["confusion.png"])) > 200


@pytest.mark.parametrize("num_classes", [2, 101, 1500])
def test_a_confusion_matrix_is_drawn_at_any_size(num_classes: int, tmp_path: Path) -> None:
    names = [f"class{k}" for k in range(num_classes)]
    counts = np.eye(num_classes, dtype=np.int64) * 3
    draw_confusion(counts, tmp_path / "confusion.png", classes=names, title="val", say=print)
    assert 200 < min(_size(tmp_path / "confusion.png")) < 4000


def test_the_most_confused_classes_come_first() -> None:
    counts = np.array([[9, 2, 0], [5, 1, 0], [0, 3, 0]])
    assert most_confused(counts, num=2) == [(1, 0), (2, 1)]
    assert most_confused(np.eye(3, dtype=np.int64), num=2) == []


def test_a_report_of_names_that_look_like_formulas_is_whole(tmp_path: Path) -> None:
    said: list[str] = []
    predictions = Predictions(
        ids=("a", "b"),
        labels=np.array([0, 1]),
        logits=np.array([[3, 1], [0, 1]], dtype=np.float32),
        classes=("$a$b$", r"$\frac{$ $"),
        split="val",
        checkpoint="best",
        epoch=1,
        manifest_hash="abc",
        groups=("", ""),
        views=np.array([1, 1]),
    )
    (tmp_path / "taken" / "confusion.png").mkdir(parents=True)
    (tmp_path / "taken" / "per_class.csv").mkdir()
    for folder in ("whole", "taken"):
        metrics = write_report(predictions, tmp_path / folder, leak_state="clean", say=said.append)
        assert metrics.top1 == 1
        assert (tmp_path / folder / "metrics.json").is_file()
    assert min(_size(tmp_path / "whole" / "confusion.png")) > 200
    # What could not be written is named, and has cost nothing else.
    assert [line.split(":")[0] for line in said] == [
        str(tmp_path / "taken" / name) for name in ("per_class.csv", "confusion.png")
    ]


def test_a_picture_of_many_runs_has_a_bounded_size(tmp_path: Path) -> None:
    table = run_table([evaluation(f"run{i}", val_top1=i / 2000) for i in range(1500)])
    draw_run_table(table, tmp_path / "many.png", say=print)
    assert max(_size(tmp_path / "many.png")) < 4000


def test_the_scores_of_several_runs_are_drawn(tmp_path: Path) -> None:
    sizes = []
    for num_runs in (1, 4):
        table = run_table([evaluation(f"run{i}", val_top1=i / 10) for i in range(num_runs)])
        draw_run_table(table, tmp_path / f"{num_runs}.png", say=print)
        sizes.append(_size(tmp_path / f"{num_runs}.png"))
    assert sizes[1][1] > sizes[0][1]
