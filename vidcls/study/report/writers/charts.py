"""Draws the figures of a report: PDF, SVG and PNG of each, and the SVG that stands in the page.

All figures have one style: the width of a column or of a page of the CVPR template, text of 7 to 9 pt, and
the colours of Okabe and Ito (2008, "Color Universal Design"), which readers with any colour vision can tell
apart.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcls.drawing import Say, drawable, figure_files
from vidcls.study.report.document import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN_IN = 3.25
"""Width of a column of the CVPR template, in inches (https://github.com/cvpr-org/author-kit)."""
PAGE_IN = 6.875
"""Width of both columns with the space between them, in inches."""
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#000000", "#e69f00")
"""Colours of series; white text cannot be read on all of them, so text never stands on them."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Marker of each series, which a reader without colours tells apart."""
DASHES = ("-", "--", "-.", ":")
"""Line style of each series."""
INK, GREY, GRID = "#22272e", "#5c6570", "#dfe3e8"
MAX_SERIES = len(COLORS)
"""Largest number of series that can be told apart in one figure."""
SUFFIXES = ("pdf", "svg", "png")
_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    # Fonts are embedded as TrueType, which journals ask for, and the text of an SVG as outlines.
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "vidcls",
}
_DOTS_PER_IN = 300
_ON_SCREEN = 1.3
"""Factor by which a figure is larger on a screen than in print, where text of 7 pt is read from nearer."""
_OPENING = re.compile(r"<svg\b[^>]*>", re.DOTALL)
_VIEW_BOX = re.compile(r'viewBox="([^"]+)"')
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_NAMES = re.compile(r'(\bid="|href="#|url\(#)')


def write_chart(chart: Chart, folder: Path, *, say: Say) -> str:
    """Write a figure as PDF, SVG and PNG; return the SVG for a page, with its text alternative.

    Args:
        chart: Figure.
        folder: Folder of the files.
        say: Receives a message about letters that no font has.

    Raises:
        OSError: If a file cannot be written.
    """
    paths = [folder / f"{chart.stem}.{suffix}" for suffix in SUFFIXES]
    with figure_files(
        paths, size_in=chart.size_in, texts=chart.texts, say=say, style=_STYLE, dots_per_in=_DOTS_PER_IN
    ) as figure:
        chart.draw(figure)
    return _inline(paths[1].read_text(encoding="utf-8"), chart)


def _inline(svg: str, chart: Chart) -> str:
    """SVG as an element of a page: names of its parts are made different from those of other figures."""
    opening = _OPENING.search(svg)
    assert opening is not None, "matplotlib writes an svg element"
    box = _VIEW_BOX.search(opening.group())
    assert box is not None, "matplotlib writes a viewBox"
    body = _METADATA.sub("", svg[opening.end() :])
    body = _NAMES.sub(rf"\g<1>{chart.stem}-", body)
    title, described = f"{chart.stem}-title", f"{chart.stem}-alt"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box[1]}" role="img" '
        f'style="width: {_ON_SCREEN * chart.size_in[0]:g}in" aria-labelledby="{title} {described}">'
        f'<title id="{title}">{html.escape(chart.caption)}</title>'
        f'<desc id="{described}">{html.escape(chart.alt)}</desc>{body}'
    )


def shares_on(axes: Axes, which: str) -> None:
    """Show the numbers of an axis of shares as per cent."""
    getattr(axes, f"{which}axis").set_major_formatter(lambda share, _: f"{100 * share:g}")


def names_on(axes: Axes, names: Sequence[str], *, longest: int = 34) -> None:
    """Show the names of the rows of a figure, the first one above."""
    axes.set_yticks(range(len(names)), [drawable(name, longest=longest) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
