"""Report as one HTML page that needs nothing else: figures, styles and scripts are inside it.

No request leaves it. It follows WCAG 2.2 at level AA: text alternatives and data tables of figures, tables
that sort by keyboard, headings in order, contrast of at least 4.5 in light and dark.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vidcls.study.compare.tables import Grid
from vidcls.study.report.document import Block, Chart, Coordinates, Document, Picture, Text
from vidcls.text import printable

_OPEN_ROWS = 60
"""Largest number of rows of a table that is shown unfolded."""


def page(document: Document, drawn: Mapping[str, str]) -> str:
    """Report as HTML.

    Args:
        document: Report.
        drawn: SVG element of each figure, by its stem.
    """
    has_coordinates = any(
        isinstance(block, Coordinates) for section in document.sections for block in section.blocks
    )
    return (
        _environment()
        .get_template("page.html")
        .render(
            document=document,
            style=Markup(_asset("page.css")),  # noqa: S704  (a file of this package)
            script=Markup(_asset("page.js")),  # noqa: S704
            plotly=Markup(_plotly()) if has_coordinates else None,  # noqa: S704  (a file of a library)
            drawn={stem: Markup(svg) for stem, svg in drawn.items()},  # noqa: S704  (texts in it are escaped)
            kind=_kind,
            coordinates=_coordinates_json,
            jpeg=lambda block: base64.b64encode(block.jpeg).decode(),
            open_rows=_OPEN_ROWS,
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("vidcls.study.report.writers", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
    )


def _asset(name: str) -> str:
    return files("vidcls.study.report.writers").joinpath("assets", name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Script of Plotly, whose parallel coordinates can be brushed."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _kind(block: Block) -> str:
    match block:
        case Text():
            return "text"
        case Grid():
            return "table"
        case Chart():
            return "chart"
        case Picture():
            return "picture"
        case Coordinates():
            return "coordinates"


def _coordinates_json(block: Coordinates) -> Markup:
    """Trace of Plotly (https://plotly.com/javascript/reference/parcoords/), safe inside a script element."""
    dimensions: list[dict[str, Any]] = []
    for axis in block.axes:
        one: dict[str, Any] = {"label": _short(axis.name), "values": list(axis.values)}
        if axis.ticks:
            one |= {"tickvals": [at for at, _ in axis.ticks], "ticktext": [text for _, text in axis.ticks]}
        dimensions.append(one)
    content = json.dumps({"dimensions": dimensions, "colors": list(block.axes[-1].values)})
    return Markup(content.replace("<", "\\u003c"))  # noqa: S704  (no element can begin in it)


def _short(name: str, *, longest: int = 22) -> str:
    shown = printable(name)
    return shown if len(shown) <= longest else f"…{shown[-longest + 1 :]}"
