"""Report as Markdown, with the figures as pictures (https://github.github.com/gfm/)."""

from __future__ import annotations

from collections.abc import Sequence

from vidcls.study.compare.tables import Grid
from vidcls.study.report.document import Block, Chart, Coordinates, Document, Picture, Text
from vidcls.text import printable

_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>()#+!|"})


def markdown(document: Document, *, figures: str) -> str:
    """Report as text.

    Args:
        document: Report.
        figures: Folder of the figures, relative to the text.
    """
    parts = [f"# {_text(document.title)}", _text(document.subtitle)]
    for section in document.sections:
        parts.append(f"## {_text(section.title)}")
        parts += [part for block in section.blocks for part in _block(block, figures)]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, figures: str) -> list[str]:
    match block:
        case Text(paragraphs=paragraphs, is_list=True):
            return ["\n".join(f"- {_text(each)}" for each in paragraphs)]
        case Text(paragraphs=paragraphs, is_verdict=True):
            return [f"**{_text(each)}**" for each in paragraphs]
        case Text(paragraphs=paragraphs):
            return list(map(_text, paragraphs))
        case Grid():
            return [_text(block.title), _table(block)]
        case Chart(stem=stem, caption=caption, alt=alt):
            return [f"![{_text(alt)}]({figures}/{stem}.svg)", f"*{_text(caption)}*"]
        case Picture(stem=stem, caption=caption, alt=alt):
            return [f"![{_text(alt)}]({figures}/{stem}.jpg)", f"*{_text(caption)}*"]
        case Coordinates(data=data):
            return [_text(data.title), _table(data)]


def _table(grid: Grid) -> str:
    rules = ["--:" if name.startswith(">") else ":--" for name in grid.columns]
    rows: list[Sequence[str]] = [list(map(_text, grid.headers)), rules]
    rows += [list(map(_text, row)) for row in grid.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _text(text: str) -> str:
    return printable(text).translate(_ESCAPED)
