"""The highest val top-1 is named, and called nothing more than the highest."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vidcls.cli.evaluate_tables import table_of_runs
from vidcls.evaluate.run_table import Evaluation, run_table


def evaluation(run: str, *, val_top1: float | None, **changes: Any) -> Evaluation:
    metrics = {"loss": 1.0, "top1": 0.5, "top5": 1.0, "mean_class_acc": 0.5, "macro_f1": 0.5}
    return Evaluation(
        **{
            "run": run,
            "checkpoint": "best",
            "split": "val",
            "manifest_hash": "abc",
            "leak_state": "leaky 92 %",
            "num_videos": 4,
            "metrics": metrics,
            "val_top1": val_top1,
            **changes,
        }
    )


def _printed(*evaluations: Evaluation) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(table_of_runs(run_table(evaluations)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(st.lists(st.integers(0, 10), min_size=2, max_size=8))
def test_the_highest_are_all_with_the_highest_val(counts: list[int]) -> None:
    table = run_table([evaluation(f"run{i}", val_top1=n / 10) for i, n in enumerate(counts)])
    assert table.highest == tuple(f"run{i}/best" for i, n in enumerate(counts) if n == max(counts))
    assert "best" not in table.note.replace("/best", "")


def test_a_better_test_score_chooses_nothing() -> None:
    good_on_test = {"loss": 0.1, "top1": 0.9, "top5": 1.0, "mean_class_acc": 0.9, "macro_f1": 0.9}
    table = run_table(
        [
            evaluation("a", val_top1=0.4, split="test", metrics=good_on_test),
            evaluation("b", val_top1=0.6, split="test"),
        ]
    )
    assert table.highest == ("b/best",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"val_top1": None}, "val was not evaluated for b"), ({"manifest_hash": "x"}, "same videos")],
)
def test_nothing_is_highest_without_the_same_ground(changes: dict[str, Any], message: str) -> None:
    table = run_table([evaluation("a", val_top1=0.4), evaluation("b", **{"val_top1": 0.5, **changes})])
    assert table.highest == ()
    assert message in table.note


def test_the_table_shows_val_beside_another_split_only() -> None:
    text = _printed(evaluation("late_fusion/ab-s0", val_top1=0.25, split="test"))
    assert "late_fusion/ab-s0/best" in text
    assert "50.0%" in text
    assert "val top-1" in text.splitlines()[2]
    assert "25.0%" in text
    assert "leaky 92 %" in text
    assert "val top-1" not in _printed(evaluation("a", val_top1=0.5)).splitlines()[2]
