"""Table of evaluated runs. It says which number is the highest, and leaves verdicts to `vidcls.study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics of one run on one split.

    Attributes:
        run: Name of the run; together with `checkpoint`, it is unique in a table.
        checkpoint: Checkpoint that was evaluated.
        split: Split of the metrics.
        manifest_hash: Hash of the manifest of the data.
        leak_state: Leak state of the data, for that split.
        num_videos: Number of scored videos.
        metrics: Metrics by bare name: `loss top1 top5 mean_class_acc macro_f1`.
        val_top1: Top-1 of the same checkpoint on val; None if unknown.
        point: Settings in which the run differs from the others of its experiment; empty if they do not
            distinguish it.
    """

    run: str
    checkpoint: str
    split: str
    manifest_hash: str
    leak_state: str
    num_videos: int
    metrics: Mapping[str, float]
    val_top1: float | None
    point: str = ""

    @property
    def label(self) -> str:
        """Label that distinguishes the run in a table."""
        if not self.point:
            return f"{self.run}/{self.checkpoint}"
        return f"{self.run.partition('/')[0]}: {self.point} ({self.checkpoint})"


@dataclass(frozen=True)
class RunTable:
    """Evaluations in the given order, and the highest of them.

    Attributes:
        rows: Evaluations.
        highest: Labels of the rows with the highest val top-1; none if there is only one row, val is unknown,
            or the runs used different data.
        note: Sentence about the highest rows; empty if there is only one row.
    """

    rows: tuple[Evaluation, ...]
    highest: tuple[str, ...]
    note: str


def run_table(evaluations: Sequence[Evaluation]) -> RunTable:
    """Find the runs with the highest val top-1, whatever split is shown; that makes none of them better."""
    rows = tuple(evaluations)
    if len(rows) < 2:
        return RunTable(rows, (), "")
    if len({row.manifest_hash for row in rows}) > 1:
        return RunTable(rows, (), "the runs were not evaluated on the same videos")
    unknown = [row.label for row in rows if row.val_top1 is None]
    if unknown:
        return RunTable(rows, (), f"val was not evaluated for {', '.join(unknown)}")
    top1 = max(row.val_top1 or 0.0 for row in rows)
    highest = tuple(row.label for row in rows if row.val_top1 == top1)
    return RunTable(rows, highest, f"highest val top-1: {', '.join(highest)}, {top1:.1%}")


def leak_states(table: RunTable) -> str:
    """Leak states of all rows, each once."""
    return ", ".join(dict.fromkeys(row.leak_state for row in table.rows))
