"""Calibration: does a probability of 80 % mean that 80 % of such answers are right?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidcls.arrays import Floats
from vidcls.drawing import drawable
from vidcls.statistics.scores import NUM_BINS
from vidcls.study.compare.tables import Grid
from vidcls.study.report.document import Chart, Section, Text
from vidcls.study.report.material import Material, Pool
from vidcls.study.report.writers.charts import COLORS, COLUMN_IN, GREY, MARKERS, shares_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_LINES = 3


@dataclass(frozen=True, eq=False)
class _Reliability:
    """Answers of all seeds of a configuration in bins of confidence, those with answers: `[B]` each."""

    confidence: Floats
    accuracy: Floats
    num: Floats


def calibration(material: Material) -> Section:
    """Reliability diagram of the best configurations (Guo et al. 2017, arXiv:1706.04599)."""
    pool = material.pools[0]
    shown = pool.configurations[:_MAX_LINES]
    found = [_reliability(pool, number) for number in range(len(shown))]
    errors = [_error(each) for each in found]
    rows = tuple(
        (each.label, f"{100 * confidence:.0f}", f"{100 * accuracy:.0f}", f"{num:g}")
        for each, bins in zip(shown, found, strict=True)
        for confidence, accuracy, num in zip(bins.confidence, bins.accuracy, bins.num, strict=True)
    )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=0.8, label="calibrated")
        for number, (each, bins) in enumerate(zip(shown, found, strict=True)):
            label = f"{pool.names[each.label]} (ECE {errors[number]:.3f})"
            axes.plot(
                bins.confidence,
                bins.accuracy,
                marker=MARKERS[number],
                color=COLORS[number],
                linewidth=0.9,
                label=drawable(label, longest=46),
            )
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence (%)", ylabel="right answers (%)")
        shares_on(axes, "x")
        shares_on(axes, "y")
        axes.grid(visible=True)
        figure.legend(loc="outside lower center", ncols=1)

    chart = Chart(
        "calibration",
        f"Reliability: share of right answers by confidence, in {NUM_BINS} bins of equal width, all seeds"
        " together. Below the diagonal, a model is too sure.",
        "Line chart. "
        + " ".join(
            f"{each.label} has an expected calibration error of {error:.3f}."
            for each, error in zip(shown, errors, strict=True)
        ),
        (COLUMN_IN, 2.9 + 0.16 * len(shown)),
        draw,
        tuple(each.label for each in shown),
        Grid("reliability", ("configuration", ">confidence %", ">right %", ">answers"), rows),
    )
    said = Text(
        (
            "The error over few videos comes out too large, since each bin's share is then mostly chance;"
            " the error of each run, as in the table of results, is larger still than that of all seeds"
            " together.",
        )
    )
    return Section("calibration", "Calibration", (chart, said))


def _reliability(pool: Pool, number: int) -> _Reliability:
    rows = pool.members[number]
    confidence = pool.answers.confidences[rows].ravel()
    correct = pool.answers.correct[rows].ravel().astype(float)
    bins = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    num = np.bincount(bins, minlength=NUM_BINS).astype(float)
    filled = num > 0
    sums = [np.bincount(bins, weights=each, minlength=NUM_BINS)[filled] for each in (confidence, correct)]
    return _Reliability(sums[0] / num[filled], sums[1] / num[filled], num[filled])


def _error(bins: _Reliability) -> float:
    return float(np.abs(bins.confidence - bins.accuracy) @ bins.num / bins.num.sum())
