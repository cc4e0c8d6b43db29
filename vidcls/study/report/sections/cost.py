"""Cost: accuracy against parameters, operations for a clip, and time of the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidcls.drawing import drawable
from vidcls.errors import VidclsError
from vidcls.run.folder import Run
from vidcls.spec.fingerprint import targets_in
from vidcls.spec.show import plain
from vidcls.study.compare.tables import Grid
from vidcls.study.intervals import points
from vidcls.study.report.document import Block, Chart, Section, Text
from vidcls.study.report.material import Material, Pool
from vidcls.study.report.writers.charts import COLORS, MARKERS, MAX_SERIES, PAGE_IN, shares_on
from vidcls.user_code.trust import kept_code

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SHOWN = 40
"""Largest number of configurations whose models are described; each takes a moment."""


@dataclass(frozen=True)
class _Cost:
    """Cost of a configuration.

    Attributes:
        params: Number of parameters; None if the model cannot be described.
        gflops: Operations of the forward pass of one clip, in 10^9; None if it cannot be described.
        train_s: Mean seconds of a training.
        why: Why the model cannot be described.
    """

    params: int | None
    gflops: float | None
    train_s: float
    why: str = ""


def cost(material: Material) -> Section | None:
    """Accuracy against cost, of the pool with the most runs; None if its configurations are too many."""
    pool = material.pools[0]
    shown = pool.configurations[:MAX_SHOWN]
    known: dict[str, tuple[int, float]] = {}
    found = [_cost(each.runs, pool.answers.num_classes, known) for each in shown]
    scores = [float(each.mean()) for each in pool.top1()[: len(shown)]]
    rows = tuple(
        (
            each.label,
            points(score),
            "-" if its.params is None else f"{its.params / 1e6:.3g}",
            "-" if its.gflops is None else f"{its.gflops:.3g}",
            f"{its.train_s:.3g}",
        )
        for each, score, its in zip(shown, scores, found, strict=True)
    )
    columns = ("configuration", ">top-1 %", ">parameters (10⁶)", ">GFLOPs per clip", ">training (s)")
    grid = Grid("cost of each configuration", columns, rows)
    said = [
        "A multiply-add counts as two operations. The time is that of the training alone, mean over seeds, on"
        " the machine that each run names; runs on stored features do not pay for the backbone again, whose"
        " operations are counted all the same."
    ]
    said += sorted({its.why for its in found if its.why})
    blocks: list[Block] = [grid, Text(tuple(said))]
    if len(shown) > 1:
        blocks.insert(0, _chart(pool, found, scores, grid))
    return Section("cost", "Accuracy and cost", tuple(blocks))


def _cost(runs: Sequence[Run], num_classes: int, known: dict[str, tuple[int, float]]) -> _Cost:
    seconds = [status.elapsed_s for run in runs if (status := run.status()) is not None]
    train_s = float(np.mean(seconds)) if seconds else 0.0
    try:
        params, gflops = _described(runs[0], num_classes, known)
    except VidclsError as error:
        return _Cost(None, None, train_s, f"{runs[0].folder}: its model is not described: {error.message}")
    return _Cost(params, gflops, train_s)


def _described(run: Run, num_classes: int, known: dict[str, tuple[int, float]]) -> tuple[int, float]:
    """Parameters and operations; `known` holds those of models that were described, which many share."""
    spec = run.spec()
    key = f"{plain(spec.model)} {plain(spec.clip)} {num_classes}"
    if key not in known:
        from vidcls.models.describe import describe  # loads torch

        with kept_code(run.code_dir, targets_in(spec)):
            summary = describe(spec.model, clip=spec.clip, num_classes=num_classes)
        known[key] = summary.num_params, summary.gflops
    return known[key]


def _chart(pool: Pool, found: Sequence[_Cost], scores: Sequence[float], data: Grid) -> Chart:
    drawn = range(min(len(found), MAX_SERIES))
    panels: tuple[tuple[str, list[float | None]], ...] = (
        ("parameters (10⁶)", [None if each.params is None else each.params / 1e6 for each in found]),
        ("GFLOPs per clip", [each.gflops for each in found]),
        ("training (s)", [each.train_s for each in found]),
    )
    labels = [pool.names[pool.configurations[number].label] for number in drawn]
    intervals = pool.intervals

    def draw(figure: Figure) -> None:
        all_axes = list(figure.subplots(1, len(panels), sharey=True))
        for axes, (name, values) in zip(all_axes, panels, strict=True):
            for number in drawn:
                value, interval = values[number], intervals[number]
                if value is None:
                    continue
                color = COLORS[number]
                if interval is not None:
                    axes.plot([value, value], interval, "-", color=color, linewidth=0.8)
                axes.plot(
                    value, scores[number], MARKERS[number], color=color, markersize=5, label=labels[number]
                )
            known = [value for value in values if value]
            if known and max(known) > 5 * min(known):
                axes.set_xscale("log")
            axes.set_xlabel(name)
            axes.grid(visible=True)
        all_axes[0].set_ylabel(f"top-1 on {pool.evidence.split} (%)")
        shares_on(all_axes[0], "y")
        handles, names = all_axes[-1].get_legend_handles_labels()
        figure.legend(
            handles, [drawable(name, longest=48) for name in names], loc="outside lower center", ncols=2
        )

    left_out = len(pool.configurations) - len(drawn)
    more = f" The {left_out} configurations below are not drawn." if left_out else ""
    cheapest = min(drawn, key=lambda number: found[number].train_s)
    return Chart(
        "cost",
        f"Top-1 with its 95 % interval against cost.{more}",
        f"Three scatter plots of {len(drawn)} configurations. The fastest to train, {labels[cheapest]}, needs"
        f" {found[cheapest].train_s:.3g} s for {points(scores[cheapest])} % top-1.",
        (PAGE_IN, 2.0 + 0.16 * ((len(drawn) + 1) // 2)),
        draw,
        tuple(labels),
        data,
    )
