"""Compares several evaluations and finds the best run, always by val, whatever split is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics of one run on one split.

    Attributes:
        run: Name of the run; together with `checkpoint`, it is unique in a comparison.
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
        """Label that distinguishes the run in a comparison."""
        if not self.point:
            return f"{self.run}/{self.checkpoint}"
        return f"{self.run.partition('/')[0]}: {self.point} ({self.checkpoint})"


@dataclass(frozen=True)
class Comparison:
    """Evaluations in the given order, and the best of them.

    Attributes:
        rows: Evaluations that are compared.
        best: Labels of the rows with the highest val top-1: one, several if they tie, or none if val is
            unknown or the runs used different data.
        verdict: Sentence that states the best runs.
    """

    rows: tuple[Evaluation, ...]
    best: tuple[str, ...]
    verdict: str


def compare(evaluations: Sequence[Evaluation]) -> Comparison:
    """Find the best runs by val top-1. A tie is reported as a tie; no second metric breaks it."""
    rows = tuple(evaluations)
    if len({row.manifest_hash for row in rows}) > 1:
        return Comparison(rows, (), "no best run: the runs were not evaluated on the same videos")
    unknown = [row.label for row in rows if row.val_top1 is None]
    if unknown:
        return Comparison(rows, (), f"no best run: val was not evaluated for {', '.join(unknown)}")
    top1 = max((row.val_top1 or 0.0 for row in rows), default=0.0)
    best = tuple(row.label for row in rows if row.val_top1 == top1)
    if len(best) == 1:
        return Comparison(rows, best, f"best by val top-1: {best[0]}, {top1:.1%}")
    return Comparison(rows, best, f"tie by val top-1 at {top1:.1%}: {', '.join(best)}")


def leak_states(comparison: Comparison) -> str:
    """Leak states of all rows, each once."""
    return ", ".join(dict.fromkeys(row.leak_state for row in comparison.rows))
