"""Pictures and tables of an evaluation: confusion matrix, comparison of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcls.evaluate.compare import leak_states
from vidcls.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vidcls.evaluate.compare import Comparison

INK, GREY = "#22272e", "#5c6570"
BARS = (("top1", "top-1", "#3b6fb6"), ("top5", "top-5", "#a9c4e6"), ("macro_f1", "macro F1", "#d1603d"))


def draw_confusion(counts: np.ndarray, path: Path, *, classes: Sequence[str], title: str) -> None:
    """Draws a confusion matrix to a PNG: colours are shares of the true class, numbers are videos.

    Args:
        counts: int `[K true, K predicted]`.
        path: Where the picture goes.
        classes: Names in label order.
        title: Above the picture.
    """
    num_classes = len(classes)
    side = min(max(4.0, 0.42 * num_classes + 2.2), 24.0)
    figure = _figure(side + 0.8, side)
    axes = figure.subplots()
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format="{x:.0%}")
    bar.ax.tick_params(labelsize=7, colors=GREY)
    bar.outline.set_visible(False)
    size = 8 if num_classes <= 30 else 4
    axes.set_xticks(range(num_classes), classes, rotation=90, fontsize=size, color=INK)
    axes.set_yticks(range(num_classes), classes, fontsize=size, color=INK)
    axes.set_xlabel("predicted", fontsize=9, color=GREY)
    axes.set_ylabel("true", fontsize=9, color=GREY)
    axes.set_title(title, fontsize=10, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if num_classes <= 30:  # beyond that numbers do not fit their cells; the CSV has them
        for true, predicted in np.argwhere(counts):
            color = "white" if shares[true, predicted] > 0.55 else INK
            text = str(counts[true, predicted])
            axes.text(predicted, true, text, ha="center", va="center", fontsize=8, color=color)
    _save(figure, path)


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Draws top-1, top-5 and macro F1 of several runs as bars to a PNG; the best by val is in bold."""
    rows = comparison.rows
    figure = _figure(8.5, 1.3 + 0.62 * len(rows))
    axes = figure.subplots()
    height = 0.8 / len(BARS)
    for offset, (metric, label, color) in enumerate(BARS):
        values = [row.metrics[metric] for row in rows]
        positions = [index + (offset - 1) * height for index in range(len(rows))]
        bars = axes.barh(positions, values, height=height * 0.9, color=color, label=label)
        axes.bar_label(bars, fmt="{:.1%}", fontsize=7, color=GREY, padding=2)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=8, color=INK)
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_fontweight("bold" if row.label in comparison.best else "normal")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(axis="x", labelsize=8, colors=GREY)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x", color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    title = f"{comparison.verdict}\nleak state of the data: {leak_states(comparison)}"
    axes.set_title(title, fontsize=9, loc="left", color=INK)
    figure.legend(loc="outside lower center", ncols=len(BARS), fontsize=8, frameon=False)
    _save(figure, path)


def _figure(width_in: float, height_in: float) -> Figure:
    # The object interface: pyplot keeps state of its own, and may pick a window system.
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=120, layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    with atomic_file(path) as file:
        figure.savefig(file, format="png")
