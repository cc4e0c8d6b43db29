"""Several evaluations side by side, and which run is the best. Chosen by val, whatever split is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One run's metrics on one split.

    Attributes:
        run: Name of the run, unique in a comparison together with `checkpoint`.
        checkpoint: Which of its checkpoints.
        split: What `metrics` were measured on.
        manifest_hash: Hash of the data's manifest.
        leak_state: Leak state of the data, for that split.
        num_videos: How many videos were scored.
        metrics: Metrics by bare name: `loss top1 top5 mean_class_acc macro_f1`.
        val_top1: Top-1 of the same checkpoint on val, if it is known.
        point: The settings in which it differs from the others of its experiment; empty where that tells
            nothing.
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
        """What tells it from the others."""
        if not self.point:
            return f"{self.run}/{self.checkpoint}"
        return f"{self.run.partition('/')[0]}: {self.point} ({self.checkpoint})"


@dataclass(frozen=True)
class Comparison:
    """Evaluations in the order given.

    Attributes:
        rows: What is compared.
        best: Labels of those with the highest val top-1: one, several that tie, or none where val is unknown
            or the runs saw different data.
        verdict: The same in a sentence.
    """

    rows: tuple[Evaluation, ...]
    best: tuple[str, ...]
    verdict: str


def compare(evaluations: Sequence[Evaluation]) -> Comparison:
    """Names the best by val top-1. Equal is equal: a tie is called one, and no second metric breaks it."""
    rows = tuple(evaluations)
    if len({row.manifest_hash for row in rows}) > 1:
        return Comparison(rows, (), "no best: the runs were not evaluated on the same videos")
    unknown = [row.label for row in rows if row.val_top1 is None]
    if unknown:
        return Comparison(rows, (), f"no best: val was not evaluated for {', '.join(unknown)}")
    top1 = max((row.val_top1 or 0.0 for row in rows), default=0.0)
    best = tuple(row.label for row in rows if row.val_top1 == top1)
    if len(best) == 1:
        return Comparison(rows, best, f"best by val top-1: {best[0]}, {top1:.1%}")
    return Comparison(rows, best, f"tie by val top-1 at {top1:.1%}: {', '.join(best)}")


def leak_states(comparison: Comparison) -> str:
    """The leak states of all rows, each once."""
    return ", ".join(dict.fromkeys(row.leak_state for row in comparison.rows))
