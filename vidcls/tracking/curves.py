"""Draws training curves: loss, top-1 and learning rate over steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcls.drawing import Say, drawable, drawn
from vidcls.tracking.jsonl import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VAL, GREY = "#3b6fb6", "#d1603d", "#5c6570"


def draw_curves(rows: Sequence[Row], path: Path, *, title: str, say: Say) -> None:
    """Draw the rows of `metrics.jsonl` to a PNG; report an error instead of raising it.

    Args:
        rows: Rows from `read_rows`; those with a `step` are drawn.
        path: File of the picture.
        title: Title with the name of the run.
        say: Receives a message about an error.
    """
    with drawn(path, size_in=(11, 3.4), texts=[title], say=say) as figure:
        _draw(figure, rows, title=drawable(title, longest=110))


def _draw(figure: Figure, rows: Sequence[Row], *, title: str) -> None:
    loss, top1, lr = figure.subplots(1, 3)
    figure.suptitle(title, fontsize=11, fontweight="bold", color="#22272e")
    _line(loss, rows, "train/step_loss", color=TRAIN, linewidth=0.8, alpha=0.3, marker=None)
    for axes, kind in ((loss, "loss"), (top1, "top1")):
        _line(axes, rows, f"train/{kind}", color=TRAIN, label="train")
        _line(axes, rows, f"val/{kind}", color=VAL, label="val")
    _line(lr, rows, "lr", color=GREY)
    _dress(loss, "loss")
    _dress(top1, "top-1 accuracy")
    _dress(lr, "learning rate")
    top1.set_ylim(0, 1.02)
    top1.yaxis.set_major_formatter("{x:.0%}")
    _mark_best(top1, rows)


def _points(rows: Sequence[Row], key: str) -> tuple[list[float], list[float]]:
    pairs = [(row.get("step"), row.get(key)) for row in rows]
    numbers = [(x, y) for x, y in pairs if isinstance(x, int | float) and isinstance(y, int | float)]
    return [x for x, _ in numbers], [y for _, y in numbers]


def _line(axes: Axes, rows: Sequence[Row], key: str, **style: Any) -> None:
    steps, values = _points(rows, key)
    if not values:
        return
    # One dot per epoch while dots are distinguishable, since a single epoch would draw no line.
    marker = "o" if len(values) <= 60 else None
    axes.plot(steps, values, **{"linewidth": 1.6, "marker": marker, "markersize": 2.5, **style})


def _mark_best(axes: Axes, rows: Sequence[Row]) -> None:
    steps, values = _points(rows, "val/top1")
    if not values:
        return
    best = max(range(len(values)), key=values.__getitem__)
    axes.plot(steps[best], values[best], marker="o", markersize=7, fillstyle="none", color=VAL)
    axes.set_title(f"top-1 accuracy, best val {values[best]:.1%}", fontsize=9, loc="left", color=GREY)


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, loc="left", color=GREY)
    axes.set_xlabel("step", fontsize=8, color=GREY)
    axes.tick_params(labelsize=8, colors=GREY)
    axes.grid(visible=True, color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#c3c9d0")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
