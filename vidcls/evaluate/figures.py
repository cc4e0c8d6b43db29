"""Figures of an evaluation: curves, confusion matrix, scores of runs; of limited size for any input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcls.drawing import Say, class_names, drawable, drawn
from vidcls.evaluate.run_table import Evaluation, leak_states
from vidcls.leaks.run_state import leaks_of
from vidcls.run.folder import Run
from vidcls.tracking.curves import draw_curves
from vidcls.tracking.jsonl import read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vidcls.evaluate.run_table import RunTable

INK, GREY = "#22272e", "#5c6570"
BARS = (("top1", "top-1", "#3b6fb6"), ("top5", "top-5", "#a9c4e6"), ("macro_f1", "macro F1", "#d1603d"))
MAX_NAMED = 50
"""Maximum number of classes with readable row names; beyond it, the most confused pairs are listed."""
MAX_NUMBERED = 30
"""Maximum number of classes with numbers in the cells; the CSV has the numbers in any case."""
MAX_PAIRS = 30
MAX_RUNS = 40


def draw_run(run: Run, *, say: Say) -> None:
    """Draw the training curves of a run; report an error instead of raising it."""
    title = f"{run.folder.parent.name}  {run.folder.name}  leak state: {leaks_of(run)}"
    draw_curves(read_rows(run.metrics_file), run.curves_file, title=title, say=say)


def draw_confusion(counts: np.ndarray, path: Path, *, classes: Sequence[str], title: str, say: Say) -> None:
    """Draw a confusion matrix to a PNG: colours are shares of the true class, numbers are videos.

    With more than `MAX_NAMED` classes the rows have no names, and the most frequent confusions are listed.

    Args:
        counts: int `[K true, K predicted]`.
        path: File of the picture.
        classes: Class names in label order.
        title: Title above the matrix.
        say: Receives messages about errors, and about letters that no font has.
    """
    num_classes = len(classes)
    side = 0.42 * num_classes + 2.2
    size_in = (max(side, 4.0) + 0.8, max(side, 4.0)) if num_classes <= MAX_NAMED else (17.0, 8.0)
    with drawn(path, size_in=size_in, texts=[*classes, title], say=say) as figure:
        names = class_names(classes)
        if num_classes <= MAX_NAMED:
            axes = figure.subplots()
            _named_matrix(figure, axes, counts, names)
        else:
            axes, beside = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
            _matrix(figure, axes, counts)
            axes.tick_params(labelsize=8, colors=GREY)
            axes.set_xlabel("predicted label", fontsize=9, color=GREY)
            axes.set_ylabel("true label", fontsize=9, color=GREY)
            _pairs(beside, counts, names)
        heading = "\n".join(drawable(line, longest=90) for line in title.split("\n"))
        figure.suptitle(heading, fontsize=10, color=INK)


def draw_run_table(table: RunTable, path: Path, *, say: Say) -> None:
    """Draw top-1, top-5 and macro F1 of several runs as bars to a PNG; the highest by val is in bold.

    With more than `MAX_RUNS` runs, those with the highest top-1 on val are drawn, and the title says so.
    """
    rows = table.rows
    left_out = ""
    if len(rows) > MAX_RUNS:
        kept = sorted(rows, key=_val_top1, reverse=True)[:MAX_RUNS]
        left_out = f"\nthe {MAX_RUNS} of {len(rows)} runs with the highest top-1 on val"
        rows = tuple(row for row in rows if row in kept)
    texts = [table.note, *(row.label for row in rows)]
    with drawn(path, size_in=(8.5, 1.3 + 0.62 * len(rows)), texts=texts, say=say) as figure:
        axes = figure.subplots()
        _bars(axes, rows, highest=table.highest)
        title = f"{drawable(table.note, longest=110)}{left_out}\n"
        title += f"leak state of the data: {drawable(leak_states(table), longest=90)}"
        axes.set_title(title, fontsize=9, loc="left", color=INK)
        figure.legend(loc="outside lower center", ncols=len(BARS), fontsize=8, frameon=False)


def _val_top1(row: Evaluation) -> float:
    return -1.0 if row.val_top1 is None else row.val_top1


def _matrix(figure: Figure, axes: Axes, counts: np.ndarray) -> np.ndarray:
    """Draw the colours of a matrix; return the shares of the true class, `[K true, K predicted]`."""
    shares: np.ndarray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format="{x:.0%}")
    bar.ax.tick_params(labelsize=7, colors=GREY)
    bar.outline.set_visible(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return shares


def _named_matrix(figure: Figure, axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    shares = _matrix(figure, axes, counts)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=8, color=INK)
    axes.set_xlabel("predicted", fontsize=9, color=GREY)
    axes.set_ylabel("true", fontsize=9, color=GREY)
    if len(names) > MAX_NUMBERED:
        return
    for true, predicted in np.argwhere(counts):
        color = "white" if shares[true, predicted] > 0.55 else INK
        text = axes.text(predicted, true, str(counts[true, predicted]), fontsize=8, color=color)
        text.set(ha="center", va="center", in_layout=False)


def most_confused(counts: np.ndarray, *, num: int) -> list[tuple[int, int]]:
    """Pairs (true, predicted) of different classes with the most videos, most frequent first."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    pairs = np.argwhere(wrong)
    order = np.argsort(-wrong[tuple(pairs.T)], kind="stable")[:num]
    return [(int(true), int(predicted)) for true, predicted in pairs[order]]


def _pairs(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    """Draw bars of the most frequent confusions."""
    pairs = most_confused(counts, num=MAX_PAIRS)
    values = [int(counts[pair]) for pair in pairs]
    bars = axes.barh(range(len(pairs)), values, color=BARS[2][2])
    support = counts.sum(axis=1)
    texts = [f"{value} of {support[true]}" for (true, _), value in zip(pairs, values, strict=True)]
    axes.bar_label(bars, texts, fontsize=8, color=GREY, padding=2)
    labels = [f"{names[true]} → {names[predicted]}" for true, predicted in pairs]
    axes.set_yticks(range(len(pairs)), labels, fontsize=8, color=INK)
    axes.set_xlim(0, 1.2 * max(values, default=1))
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=8, colors=GREY)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    heading = "most frequent confusions, true → predicted, number of videos; confusion.csv has all"
    axes.set_title(heading if pairs else "all videos have the right class", fontsize=10, color=INK)


def _bars(axes: Axes, rows: Sequence[Evaluation], *, highest: Sequence[str]) -> None:
    height = 0.8 / len(BARS)
    for offset, (metric, label, color) in enumerate(BARS):
        values = [row.metrics[metric] for row in rows]
        positions = [index + (offset - 1) * height for index in range(len(rows))]
        bars = axes.barh(positions, values, height=height * 0.9, color=color, label=label)
        axes.bar_label(bars, fmt="{:.1%}", fontsize=7, color=GREY, padding=2)
    axes.set_yticks(range(len(rows)), [drawable(row.label) for row in rows], fontsize=8, color=INK)
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_fontweight("bold" if row.label in highest else "normal")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(axis="x", labelsize=8, colors=GREY)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x", color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
