"""Training curves: mean over the seeds of a configuration, with the range of the seeds as a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidcls.arrays import Floats
from vidcls.drawing import drawable
from vidcls.run.folder import Run
from vidcls.study.compare.tables import Grid
from vidcls.study.configurations import Configuration
from vidcls.study.report.document import Chart, Section, Text
from vidcls.study.report.material import Material
from vidcls.study.report.writers.charts import COLORS, DASHES, MAX_SERIES, PAGE_IN, shares_on
from vidcls.tracking.jsonl import read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = (
    ("train/loss", "training loss (nats)"),
    ("val/loss", "val loss (nats)"),
    ("val/top1", "val top-1 (%)"),
)


@dataclass(frozen=True, eq=False)
class _Band:
    """Values of a metric over seeds: epochs `[E]`, and values of each seed `[S, E]`, NaN where none."""

    epochs: Floats
    values: Floats


def curves(material: Material) -> Section | None:
    """Training curves of the best configurations of each pool; None if no run has epochs."""
    charts = []
    for number, pool in enumerate(material.pools):
        shown = pool.configurations[:MAX_SERIES]
        bands = {key: [_band(each, key) for each in shown] for key, _ in _PANELS}
        if all(band is None for its in bands.values() for band in its):
            continue
        stem = "curves" if number == 0 else f"curves-{number + 1}"
        charts.append(
            _chart(
                stem,
                shown,
                bands,
                num_all=len(pool.configurations),
                leak_state=pool.leak_state,
                names=pool.names,
            )
        )
    if not charts:
        return None
    said = Text(
        (
            "Metrics on val inside a training are those of the training's precision; the results above are"
            " scored anew in float32 from the stored checkpoint.",
        )
    )
    return Section("curves", "Training curves", (*charts, said))


def _band(configuration: Configuration, key: str) -> _Band | None:
    series = [found for run in configuration.runs if (found := _epochs(run, key))]
    if not series:
        return None
    epochs = sorted({epoch for each in series for epoch in each})
    values = np.array([[each.get(epoch, np.nan) for epoch in epochs] for each in series])
    return _Band(np.array(epochs, dtype=float), values)


def _epochs(run: Run, key: str) -> dict[float, float]:
    """Value of a metric by epoch, counted from 1."""
    if not run.metrics_file.is_file():
        return {}
    rows = [row for row in read_rows(run.metrics_file) if row.get("kind") == "epoch"]
    found = {}
    for row in rows:
        epoch, value = row.get("epoch"), row.get(key)
        if isinstance(epoch, int | float) and isinstance(value, int | float):
            found[float(epoch)] = float(value)
    return found


def _chart(
    stem: str,
    shown: Sequence[Configuration],
    bands: dict[str, list[_Band | None]],
    *,
    num_all: int,
    leak_state: str,
    names: Mapping[str, str],
) -> Chart:
    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(_PANELS))
        for axes, (key, label) in zip(panels, _PANELS, strict=True):
            for number, band in enumerate(bands[key]):
                if band is not None:
                    _line(axes, band, number, label=shown[number].label)
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_title(label, loc="left")
            axes.grid(visible=True, axis="y")
            if key == "val/top1":
                shares_on(axes, "y")
        handles, _ = panels[-1].get_legend_handles_labels()
        if len(shown) > 1:
            figure.legend(
                handles,
                [drawable(names[each.label], longest=48) for each in shown],
                loc="outside lower center",
                ncols=2,
            )

    rows = tuple(_rows(shown, bands))
    more = f" The {num_all - len(shown)} configurations below are not drawn." if num_all > len(shown) else ""
    legend_in = 0.16 * ((len(shown) + 1) // 2) if len(shown) > 1 else 0.0
    return Chart(
        stem,
        f"Training curves, {leak_state} data: mean over seeds; the band reaches from the lowest to the"
        f" highest seed.{more}",
        "Line charts over epochs of the training loss, the val loss and val top-1. "
        + " ".join(f"{row[0]} ends at {row[-1]} % val top-1." for row in rows),
        (PAGE_IN, 1.9 + legend_in),
        draw,
        tuple(each.label for each in shown),
        Grid(
            "last epoch, mean over seeds",
            ("configuration", ">epochs", ">training loss", ">val loss", ">val top-1 %"),
            rows,
        ),
    )


def _line(axes: Axes, band: _Band, number: int, *, label: str) -> None:
    color = COLORS[number % len(COLORS)]
    mean = np.nanmean(band.values, axis=0)
    marker = "o" if len(band.epochs) == 1 else None
    dashes = DASHES[number // 2 % len(DASHES)]
    axes.plot(band.epochs, mean, dashes, color=color, marker=marker, label=label)
    if len(band.values) > 1:
        low, high = np.nanmin(band.values, axis=0), np.nanmax(band.values, axis=0)
        axes.fill_between(band.epochs, low, high, color=color, alpha=0.15, linewidth=0)


def _rows(shown: Sequence[Configuration], bands: dict[str, list[_Band | None]]) -> list[tuple[str, ...]]:
    rows = []
    for number, each in enumerate(shown):
        cells = []
        num_epochs = "-"
        for key, _ in _PANELS:
            band = bands[key][number]
            if band is None:
                cells.append("-")
                continue
            num_epochs = f"{band.epochs[-1]:g}"
            last = float(np.nanmean(band.values[:, -1]))
            cells.append(f"{100 * last:.1f}" if key.endswith("top1") else f"{last:.3f}")
        rows.append((each.label, num_epochs, *cells))
    return rows
