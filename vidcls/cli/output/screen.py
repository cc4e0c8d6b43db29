"""Console and tables of the command line. Foreign text is shown literally, never interpreted.

The name of a class or file may contain rich markup, an emoji code, an escape sequence or bytes that are not
UTF-8. Nothing here reads markup, and `printable` handles the rest. `typer.echo` and rich's own console,
tables and text are banned elsewhere (ruff, `banned-api`); use `echo`, `say`, `emit` of `vidcls.cli.common`.
"""

from __future__ import annotations

import sys
from typing import Any

import rich.table
from rich.console import Console, RenderableType
from rich.text import Text

from vidcls.text import printable, printable_lines

_FILE_WIDTH = 200


class Screen(Console):
    """Console that never interprets text; if it is not a terminal, it is wide enough to cut nothing."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
        if not self.is_live:
            self.width = _FILE_WIDTH

    @property
    def is_live(self) -> bool:
        """Whether the output can show a live bar; under FORCE_COLOR rich treats a pipe as a terminal too."""
        return self.file.isatty()

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string given to `print` or a table cell to rich text, without markup."""
        return super().render_str(_shown(printable_lines(text)), **options)


class Table(rich.table.Table):
    """Table whose cells are one line of text each; long text is folded, never cut."""

    def __init__(self, *headers: rich.table.Column | str, **options: Any) -> None:
        super().__init__(*headers, **options)
        for column in self.columns:
            column.header = _cell(column.header)
            column.overflow = "fold"

    def add_column(self, header: RenderableType = "", **options: Any) -> None:  # type: ignore[override]
        """Add a column."""
        super().add_column(_cell(header), **{"overflow": "fold", **options})

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        super().add_row(*map(_cell, cells), **options)


def styled(text: object, style: str) -> Text:
    """Text in a style, such as `bold red`."""
    return Text(_shown(printable_lines(text)), style=style)


def _cell(content: Any) -> Any:
    return Text(_shown(printable(content))) if isinstance(content, str) else content


def _shown(text: str) -> str:
    """Text in the encoding of the terminal, since escapes are wider than the characters they replace."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
