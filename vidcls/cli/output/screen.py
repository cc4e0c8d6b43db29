"""What the command line shows tables and styled text with. Foreign text is shown as it is, never interpreted.

A name of a class or file may hold rich's markup, an emoji code, an escape sequence or bytes that are not
UTF-8. Nothing here reads markup, and `printable` takes care of the rest. `typer.echo`, rich's own console,
tables and text are banned elsewhere (ruff, `banned-api`): `vidcls.cli.common` has `echo`, `say`, `emit`.
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
    """A console that takes text for text; where it is no terminal, wide enough that nothing is cut."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
        if not self.is_live:
            self.width = _FILE_WIDTH

    @property
    def is_live(self) -> bool:
        """Whether a bar can move here; under FORCE_COLOR rich takes a pipe for a terminal too."""
        return self.file.isatty()

    def render_str(self, text: str, **options: Any) -> Text:
        """Text as rich shows it, of what `print` and cells of any table are given."""
        return super().render_str(_shown(printable_lines(text)), **options)


class Table(rich.table.Table):
    """A table whose cells are one line of text each; what does not fit is folded, never cut."""

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
    """Text as the terminal's encoding has it: escapes are wider than what they stand for."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
