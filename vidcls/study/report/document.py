"""Document of a report: sections of text, tables and figures, which each writer shows in its own format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidcls.study.compare.tables import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """Paragraphs, or points of a list.

    Attributes:
        paragraphs: Plain text of each.
        is_list: Whether they are points of a list.
        is_verdict: Whether they are the main statement of the report.
    """

    paragraphs: tuple[str, ...]
    is_list: bool = False
    is_verdict: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """Figure of vectors, drawn at the size at which it is printed.

    Attributes:
        stem: File name without its suffix; all different in a document.
        caption: What it shows, with the units and what the intervals are.
        alt: What a reader who cannot see it must know: what is drawn, and what stands out.
        size_in: Width and height in inches.
        draw: Draws it on an empty figure.
        texts: User texts in it, such as class names, for which fonts are selected.
        data: The numbers that are drawn.
    """

    stem: str
    caption: str
    alt: str
    size_in: tuple[float, float]
    draw: Callable[[Figure], None]
    texts: tuple[str, ...]
    data: Grid


@dataclass(frozen=True, eq=False)
class Picture:
    """Picture of pixels, such as a contact sheet.

    Attributes:
        stem: File name without its suffix; all different in a document.
        caption: What it shows.
        alt: What a reader who cannot see it must know.
        jpeg: Content of the JPEG file.
    """

    stem: str
    caption: str
    alt: str
    jpeg: bytes


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Parallel coordinates that a reader can brush: a line for each trial, an axis for each quantity.

    Attributes:
        caption: What it shows.
        alt: What a reader who cannot see it must know.
        axes: Axes, that of the result last.
        data: The same numbers as a table, a row a trial.
    """

    caption: str
    alt: str
    axes: tuple[Axis, ...]
    data: Grid


@dataclass(frozen=True)
class Axis:
    """Axis of parallel coordinates.

    Attributes:
        name: Name of the quantity.
        values: Position of each trial on the axis.
        ticks: Position and text of ticks; empty if the axis is one of numbers.
    """

    name: str
    values: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...] = ()


Block = Text | Grid | Chart | Picture | Coordinates


@dataclass(frozen=True)
class Section:
    """Section of a report.

    Attributes:
        name: Short name, the anchor in the page.
        title: Title.
        blocks: Content in the order of reading.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """Report.

    Attributes:
        title: Title.
        subtitle: What it stands on, in one line.
        sections: Sections in the order of reading.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]

    @property
    def charts(self) -> Iterator[Chart]:
        """All figures of vectors."""
        return (block for block in self._blocks() if isinstance(block, Chart))

    @property
    def pictures(self) -> Iterator[Picture]:
        """All pictures of pixels."""
        return (block for block in self._blocks() if isinstance(block, Picture))

    def _blocks(self) -> Iterator[Block]:
        return (block for section in self.sections for block in section.blocks)

    def as_dict(self) -> dict[str, Any]:
        """All texts and numbers as plain values for JSON; pictures by the names of their files."""
        return {
            "title": self.title,
            "subtitle": self.subtitle,
            "sections": [
                {"name": each.name, "title": each.title, "blocks": list(map(_plain, each.blocks))}
                for each in self.sections
            ],
        }


def _plain(block: Block) -> dict[str, Any]:
    match block:
        case Text(paragraphs=paragraphs):
            return {"kind": "text", "paragraphs": list(paragraphs)}
        case Grid():
            return {"kind": "table"} | _table(block)
        case Chart(stem=name, caption=caption, alt=alt, data=data):
            return {"kind": "figure", "file": name, "caption": caption, "alt": alt, "data": _table(data)}
        case Picture(stem=name, caption=caption, alt=alt):
            return {"kind": "picture", "file": name, "caption": caption, "alt": alt}
        case Coordinates(caption=caption, alt=alt, data=data):
            return {"kind": "coordinates", "caption": caption, "alt": alt, "data": _table(data)}


def _table(grid: Grid) -> dict[str, Any]:
    return {"title": grid.title, "columns": grid.headers, "rows": [list(row) for row in grid.rows]}


def listed(paragraphs: Sequence[str]) -> list[Text]:
    """A list of points; none if there are no points."""
    return [Text(tuple(paragraphs), is_list=True)] if paragraphs else []
