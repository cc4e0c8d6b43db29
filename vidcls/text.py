"""Text from outside, above all the names of files and classes, as it may be shown and stored."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

_JOINERS = "\u200c\u200d"
"""Format characters that Persian, Indian scripts and emoji need."""
_NO_TEXT = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of control, format and surrogate characters, line and paragraph separators."""
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def printable(text: object) -> str:
    r"""One line that a terminal shows as it is: what would steer it, or break the line, becomes an escape.

    Control characters (with escape sequences, tab and newline), marks that turn the direction of writing and
    other invisible ones become `\x1b` or `\u202e`; a byte of a file name that is not UTF-8 becomes `\xff`.
    """
    line = str(text)
    return line if line.isascii() and line.isprintable() else "".join(map(_shown, line))


def printable_lines(text: object) -> str:
    """The same for a message of several lines: newlines stay."""
    return "\n".join(map(printable, str(text).split("\n")))


def spreadsheet_cell(text: str) -> str:
    """A cell of a CSV file that no spreadsheet takes for a formula: an apostrophe keeps it text.

    Cells that already begin with apostrophes before such a sign get one more, so `from_spreadsheet_cell`
    gives every text back. https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def from_spreadsheet_cell(cell: str) -> str:
    """The text that `spreadsheet_cell` made a cell of."""
    inner = cell.removeprefix("'")
    return inner if inner != cell and spreadsheet_cell(inner) == cell else cell


def is_unicode(text: str) -> bool:
    """Whether a name can be written in UTF-8: Linux allows names that are any bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def csv_path(path: Path | str) -> str:
    """The cell of a path, which still leads to the file: a name that a spreadsheet would run gets `./`."""
    text = str(path)
    return f"./{text}" if _FORMULA.match(text) else text


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _NO_TEXT or character in _JOINERS:
        return character
    if "\udc80" <= character <= "\udcff":  # how Python holds a byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
