"""Picture of a timeline: frames of the video, its segments as bands, and the probabilities over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from vidcls.drawing import Say, class_names, drawable, drawn
from vidcls.predict.timeline.results import Segment, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, PALE = "#22272e", "#5c6570", "#d5d9de"
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
"""Colours that people with any colour vision can tell apart (Okabe and Ito 2008, jfly.uni-koeln.de/color)."""
_STYLES: Final[tuple[Literal["-", "--", "-.", ":"], ...]] = ("-", "--", "-.", ":")
_WIDTH_IN, _STRIP_IN = 12.0, 1.0
_MARGIN_IN: Final = 1.3
_LETTER_IN: Final = 0.085
_STEPS_S: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS: Final = 12


class _Style(NamedTuple):
    """Look of a class: as many again as there are colours are hatched."""

    colour: str
    hatch: str | None
    line: Literal["-", "--", "-.", ":"]


def draw_timeline(timeline: Timeline, path: Path, *, say: Say) -> None:
    """Draw a timeline with at least one window to a PNG; an error is reported instead of raised.

    The sixteen classes with the longest segments have a look each; the others are grey.

    Args:
        timeline: Timeline with thumbnails.
        path: File of the picture.
        say: Receives messages about errors, and about letters that no font has.
    """
    title = f"{timeline.path.name}: windows of {float(timeline.plan.window_s):g} s, one every "
    title += f"{float(timeline.plan.stride_s):g} s"
    with drawn(path, size_in=(_WIDTH_IN, 5.2), texts=[*timeline.classes, title], say=say) as figure:
        names = dict(zip(timeline.classes, class_names(timeline.classes), strict=True))
        styles = _styles(timeline.segments)
        heights = (_STRIP_IN, 0.55, 2.4)
        strip, bands, lines = figure.subplots(3, 1, sharex=True, height_ratios=heights)
        _draw_strip(strip, timeline)
        _draw_bands(bands, timeline, names, styles)
        _draw_lines(lines, timeline, names, styles)
        _label_times(lines, timeline.end_s)
        _draw_legend(figure, timeline, names, styles)
        figure.suptitle(drawable(title, longest=110), fontsize=10, color=INK)


def _styles(segments: Sequence[Segment]) -> dict[str, _Style]:
    """Look of the classes with the longest segments, the longest first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for segment in segments:
        if segment.label is not None:
            seconds[segment.label] += segment.end_s - segment.start_s
    count = len(COLOURS)
    longest = sorted(seconds, key=lambda label: -seconds[label])[: 2 * count]
    return {
        label: _Style(COLOURS[k % count], "////" if k >= count else None, _STYLES[(k + k // count) % 4])
        for k, label in enumerate(longest)
    }


def _draw_strip(axes: Axes, timeline: Timeline) -> None:
    """Draw frames side by side, each the nearest to the middle of its place."""
    axes.set_yticks([])
    axes.set_ylim(0, 1)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    if not timeline.thumbnails:
        return
    height, width = timeline.thumbnails[0].pixels.shape[:2]
    count = max(1, round((_WIDTH_IN - _MARGIN_IN) / (_STRIP_IN * width / height)))
    edges = np.linspace(0, timeline.end_s, count + 1)
    for left, right in pairwise(edges.tolist()):
        middle = (left + right) / 2
        near = min(timeline.thumbnails, key=lambda found: abs(found.time_s - middle))
        axes.imshow(near.pixels, extent=(left, right, 0, 1), aspect="auto", interpolation="antialiased")
        axes.axvline(right, color="white", linewidth=1.5)


def _draw_bands(
    axes: Axes, timeline: Timeline, names: Mapping[str, str], styles: Mapping[str, _Style]
) -> None:
    """Draw a band for each segment, with its name if it fits."""
    axes.set_yticks([])
    axes.set_ylim(0, 1)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)
    in_per_s = (_WIDTH_IN - _MARGIN_IN) / max(timeline.end_s, 1e-3)
    for segment in timeline.segments:
        length = segment.end_s - segment.start_s
        style = styles.get(segment.label or "")
        axes.barh(
            0.5, length, left=segment.start_s, height=1.0, edgecolor="white", linewidth=0.8,
            color=style.colour if style else PALE, hatch=style.hatch if style else None,
        )  # fmt: skip
        name = names[segment.label] if segment.label is not None else ""
        if len(name) * _LETTER_IN < length * in_per_s:
            ink = _ink_on(style.colour) if style else INK
            middle = segment.start_s + length / 2
            axes.text(middle, 0.5, name, ha="center", va="center", fontsize=8, color=ink)


def _ink_on(colour: str) -> str:
    """Black or white, whichever is readable on a colour."""
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else INK


def _draw_lines(
    axes: Axes, timeline: Timeline, names: Mapping[str, str], styles: Mapping[str, _Style]
) -> None:
    """Draw the probability of each class at the middle of each window; a gap where there is none."""
    middles = [(window.start_s + window.end_s) / 2 for window in timeline.windows]
    missing = np.full(len(timeline.classes), np.nan)
    found = np.stack([missing if (p := window.probabilities) is None else p for window in timeline.windows])
    markers = "o" if len(middles) < 80 else None
    for label, name in enumerate(timeline.classes):
        style = styles.get(name)
        axes.plot(
            middles, found[:, label], marker=markers, markersize=3, color=style.colour if style else PALE,
            linestyle=style.line if style else "-", linewidth=1.6 if style else 0.8, zorder=3 if style else 1,
            label=names[name],
        )  # fmt: skip
    axes.set_ylim(0, 1.03)
    axes.set_ylabel("probability", fontsize=9, color=GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.5)
    axes.tick_params(labelsize=8, colors=GREY)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _label_times(axes: Axes, end_s: float) -> None:
    step = next((step for step in _STEPS_S if end_s / step <= _MOST_TICKS), end_s / _MOST_TICKS)
    ticks = np.arange(0, end_s + step / 1000, step)
    is_clock = end_s >= 60 and step >= 1
    axes.set_xlim(0, max(end_s, 1e-3))
    axes.set_xticks(ticks, [_minutes(tick) if is_clock else f"{tick:g}" for tick in ticks.round(3)])
    axes.set_xlabel("time (min:s)" if is_clock else "time (s)", fontsize=9, color=GREY)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _draw_legend(
    figure: Figure, timeline: Timeline, names: Mapping[str, str], styles: Mapping[str, _Style]
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = [
        Patch(facecolor=style.colour, hatch=style.hatch, edgecolor="white", label=names[label])
        for label, style in styles.items()
    ]
    if len(styles) < len(timeline.classes):
        num_others = len(timeline.classes) - len(styles)
        label = f"{num_others} other {'class' if num_others == 1 else 'classes'}"
        handles.append(Line2D([], [], color=PALE, linewidth=0.8, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
