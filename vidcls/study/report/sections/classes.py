"""Classes: recall of each, the confusion matrix of the best configuration, and what changes to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vidcls.arrays import Floats
from vidcls.drawing import class_names
from vidcls.study.compare.tables import Grid, classes_grid
from vidcls.study.intervals import points
from vidcls.study.report.document import Block, Chart, Section
from vidcls.study.report.material import Material, Pool
from vidcls.study.report.writers.charts import COLORS, INK, PAGE_IN, names_on, shares_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 30
"""Largest number of classes whose names stand beside a matrix or whose bars are drawn."""
MAX_PAIRS = 20
_MAX_NUMBERED = 14


def classes(material: Material) -> Section:
    """Recall of each class and confusions, of the pool with the most runs."""
    pool = material.pools[0]
    blocks: list[Block] = [_recall_chart(pool)]
    if pool.comparison is not None:
        blocks.append(classes_grid(pool.comparison))
    blocks += [_confusion_chart(pool), _confused_pairs(pool)]
    if len(pool.configurations) > 1:
        blocks += [_change_chart(pool), _changed_pairs(pool)]
    return Section("classes", "Classes and confusions", tuple(blocks))


def confusion(pool: Pool, number: int) -> Floats:
    """Mean number of videos over the seeds of a configuration, `[K true, K predicted]`."""
    answers, rows = pool.answers, pool.members[number]
    num_classes = answers.num_classes
    predicted = answers.predicted[rows]
    cells = answers.labels * num_classes + predicted
    counts = np.bincount(cells.ravel(), minlength=num_classes**2) / len(predicted)
    return np.asarray(counts.reshape(num_classes, num_classes))


def _recall(pool: Pool, number: int) -> Floats:
    """Recall of each class, mean over seeds; NaN for a class without a video."""
    counts = confusion(pool, number)
    support = counts.sum(axis=1)
    return np.where(support > 0, np.diag(counts) / np.maximum(support, 1e-12), np.nan)


def _recall_chart(pool: Pool) -> Chart:
    shown = range(min(2, len(pool.configurations)))
    recalls = [_recall(pool, number) for number in shown]
    support = np.bincount(pool.answers.labels, minlength=pool.answers.num_classes)
    present = np.flatnonzero(support)
    # The classes that are hardest for the first configuration are drawn where there are too many.
    order = present[np.argsort(recalls[0][present], kind="stable")]
    chosen = order[:MAX_NAMED]
    names = class_names(pool.evidence.classes)
    labels = [pool.names[pool.configurations[number].label] for number in shown]
    rows = tuple(
        (pool.evidence.classes[label], str(support[label]), *(points(each[label]) for each in recalls))
        for label in order
    )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        height = 0.8 / len(recalls)
        for number, each in enumerate(recalls):
            at = np.arange(len(chosen)) + (number - (len(recalls) - 1) / 2) * height
            axes.barh(at, each[chosen], height=height * 0.9, color=COLORS[number], label=labels[number])
        names_on(axes, [f"{names[label]} ({support[label]})" for label in chosen])
        axes.set_xlim(0, 1)
        shares_on(axes, "x")
        axes.set_xlabel(f"recall on {pool.evidence.split} (%)")
        if len(labels) > 1:
            figure.legend(loc="outside lower center", ncols=1)

    more = (
        f" {len(order) - len(chosen)} classes with higher recall are in the table."
        if len(order) > len(chosen)
        else ""
    )
    hardest = ", ".join(f"{row[0]} {row[2]} %" for row in rows[:3])
    return Chart(
        "recall",
        f"Recall of each class, mean over seeds, with the number of videos; hardest first.{more}",
        f"Bar chart of the recall of {len(chosen)} classes. Lowest for {labels[0]}: {hardest}.",
        (PAGE_IN, 0.75 + 0.15 * len(labels) + (0.11 + 0.09 * len(recalls)) * len(chosen)),
        draw,
        (*pool.evidence.classes, *labels),
        Grid("recall %", ("class", ">videos", *(f">{label}" for label in labels)), rows),
    )


def _confusion_chart(pool: Pool) -> Chart:
    counts = confusion(pool, 0)
    label = pool.configurations[0].label
    names = class_names(pool.evidence.classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
        bar.set_label("share of the true class (%)")
        bar.outline.set_visible(False)
        _matrix_frame(axes, names)
        if len(names) <= _MAX_NUMBERED:
            for true, predicted in np.argwhere(counts > 0):
                color = "white" if shares[true, predicted] > 0.55 else INK
                text = axes.text(predicted, true, f"{counts[true, predicted]:.3g}", fontsize=7, color=color)
                text.set(ha="center", va="center")

    return _matrix_chart(
        "confusion",
        f"Confusion matrix of {label}: number of videos, mean over seeds.",
        f"Matrix of true and predicted classes; {points(np.trace(counts) / counts.sum())} % of the videos"
        " are on the diagonal.",
        draw,
        pool,
        counts,
    )


def _change_chart(pool: Pool) -> Chart:
    changes = confusion(pool, 0) - confusion(pool, 1)
    first, second = (pool.configurations[number].label for number in (0, 1))
    names = class_names(pool.evidence.classes)
    limit = float(max(np.abs(changes).max(), 1e-9))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        image = axes.imshow(changes, cmap="PuOr", vmin=-limit, vmax=limit)
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.set_label("videos more (+) or fewer (−)")
        bar.outline.set_visible(False)
        _matrix_frame(axes, names)
        if len(names) <= _MAX_NUMBERED:
            for true, predicted in np.argwhere(np.abs(changes) > 1e-9):
                dark = abs(changes[true, predicted]) > 0.6 * limit
                shown = f"{changes[true, predicted]:+.2g}".replace("-", "−")
                text = axes.text(predicted, true, shown, fontsize=6.5, color="white" if dark else INK)
                text.set(ha="center", va="center")

    return _matrix_chart(
        "confusion-change",
        f"What changes from {second} to {first}: videos more or fewer in each cell, mean over seeds.",
        f"Difference of two confusion matrices; the largest change of a cell is {limit:.2g} videos.",
        draw,
        pool,
        changes,
    )


def _matrix_frame(axes: Axes, names: list[str]) -> None:
    if len(names) <= MAX_NAMED:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _matrix_chart(stem: str, caption: str, alt: str, draw: object, pool: Pool, cells: Floats) -> Chart:
    names = pool.evidence.classes
    side = min(PAGE_IN - 1.0, 2.2 + 0.24 * min(len(names), MAX_NAMED))
    rows = tuple((names[true], *(f"{value:.3g}" for value in cells[true])) for true in range(len(names)))
    grid = Grid("true \\ predicted", ("class", *(f">{name}" for name in names)), rows)
    assert callable(draw)
    return Chart(stem, caption, alt, (side + 1.0, side), draw, tuple(names), grid)


def _confused_pairs(pool: Pool) -> Grid:
    wrong = confusion(pool, 0)
    support = wrong.sum(axis=1)
    np.fill_diagonal(wrong, 0.0)
    names = pool.evidence.classes
    rows = tuple(
        (names[true], names[predicted], f"{wrong[true, predicted]:.3g}", f"{support[true]:g}")
        for true, predicted in _largest(wrong)
    )
    title = f"most frequent confusions of {pool.configurations[0].label}"
    return Grid(title, ("true", "predicted", ">videos, mean over seeds", ">of"), rows)


def _changed_pairs(pool: Pool) -> Grid:
    changes = confusion(pool, 0) - confusion(pool, 1)
    names = pool.evidence.classes
    rows = tuple(
        (names[true], names[predicted], f"{changes[true, predicted]:+.2g}")
        for true, predicted in _largest(np.abs(changes))
    )
    title = f"largest changes from {pool.configurations[1].label} to {pool.configurations[0].label}"
    return Grid(title, ("true", "predicted", ">videos, mean over seeds"), rows)


def _largest(values: Floats) -> list[tuple[int, int]]:
    cells = np.argwhere(values > 0)
    order = np.argsort(-values[tuple(cells.T)], kind="stable")[:MAX_PAIRS]
    return [(int(true), int(predicted)) for true, predicted in cells[order]]
