"""Makes foreign text, such as names of files and classes, safe to show and to store."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

_JOINERS = "\u200c\u200d"
"""Format characters that Persian, Indian scripts and emoji need."""
_NO_TEXT = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of control, format and surrogate characters, and of line and paragraph separators."""
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def printable(text: object) -> str:
    r"""One line that is safe for a terminal: characters that control it, or break the line, become escapes.

    Control characters (with escape sequences, tab and newline), marks that change the writing direction, and
    other invisible characters become `\x1b` or `\u202e`; a byte of a file name that is not UTF-8 becomes
    `\xff`.
    """
    line = str(text)
    return line if line.isascii() and line.isprintable() else "".join(map(_shown, line))


def printable_lines(text: object) -> str:
    """Same as `printable` for a message of several lines: newlines are kept."""
    return "\n".join(map(printable, str(text).split("\n")))


def spreadsheet_cell(text: str) -> str:
    """Cell of a CSV file that no spreadsheet runs as a formula: an apostrophe keeps it text.

    Cells that already begin with apostrophes before such a sign get one more, so `from_spreadsheet_cell`
    restores every text. https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def from_spreadsheet_cell(cell: str) -> str:
    """Restore the text from a result of `spreadsheet_cell`."""
    inner = cell.removeprefix("'")
    return inner if inner != cell and spreadsheet_cell(inner) == cell else cell


def is_unicode(text: str) -> bool:
    """Whether a name can be written in UTF-8: Linux allows any bytes in names."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def csv_path(path: Path | str) -> str:
    """Cell of a path that is still a valid path: a name that a spreadsheet would run gets the prefix `./`."""
    text = str(path)
    return f"./{text}" if _FORMULA.match(text) else text


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _NO_TEXT or character in _JOINERS:
        return character
    if "\udc80" <= character <= "\udcff":  # Python's code for a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
