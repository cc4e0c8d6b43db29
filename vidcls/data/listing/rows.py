"""Reads rows of a table with a header: CSV, or with another delimiter."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcls.data.listing.listing import Problem
from vidcls.errors import UserError
from vidcls.spec.yaml import in_short
from vidcls.text import printable

_DELIMITERS = ",;\t|"


def refuse_pipe(path: Path) -> None:
    """Refuse a list that is not a regular file: reading a pipe would block, a device may never end.

    Raises:
        UserError: If it exists and is not a regular file.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: a folder, a device or a pipe; expected a text file")


def header_of(path: Path) -> tuple[str, ...]:
    """Column names in the first line of a file, with the delimiter that gives most columns.

    Raises:
        OSError: If the file cannot be read.
        UserError: If the file is not a table in UTF-8.
    """
    return _header(path)[1]


def has_columns(path: Path, columns: Sequence[str]) -> bool:
    """Whether `path` is a table whose first line contains `columns`."""
    try:
        return set(columns) <= set(header_of(path))
    except (OSError, UserError):
        return False


def read_rows(
    path: Path, columns: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and stripped cells of each row of a table with a header; missing cells are empty.

    The delimiter is a comma, a semicolon, a tab or `|`, as in the header.

    Args:
        path: File of the table.
        columns: Required columns.
        problems: List to which rows with more cells than the header are added; these rows are left out.

    Raises:
        UserError: If the file is not a table in UTF-8, lacks one of `columns`, or repeats a column name.
    """
    delimiter, header = _header(path)
    if absent := [name for name in columns if name not in header]:
        there = in_short(", ".join(header)) or "none"
        raise UserError(
            f"{path}:1: no column {', '.join(absent)}; the columns are {there}",
            hint=f"the first line should be {','.join(columns)}",
        )
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        raise UserError(
            f"{path}:1: {Counter(header)[twice[0]]} columns have the name {twice[0]!r}",
            hint="rename all of them except one",
        )
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            next(reader)
            line = reader.line_num + 1
            for cells in reader:
                line = reader.line_num + 1
                if not cells:
                    continue
                if any("\0" in cell for cell in cells):
                    raise UserError(
                        f"{path}:{reader.line_num}: contains a NUL character, which is not allowed in paths"
                    )
                stripped = [cell.strip() for cell in cells]
                if any(stripped[len(header) :]):
                    problems.append(_too_long(path, reader.line_num, header, stripped))
                    continue
                padded = stripped + [""] * (len(header) - len(stripped))
                yield reader.line_num, dict(zip(header, padded, strict=False))
    except (csv.Error, UnicodeDecodeError) as error:
        raise _no_table(path, line, error) from None


def _too_long(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> Problem:
    return Problem(
        "table",
        f"{path.name}:{line}: {len(cells)} cells, but the header has {len(header)} ({','.join(header)}): "
        "put cells that contain the delimiter in double quotes",
    )


def _header(path: Path) -> tuple[str, tuple[str, ...]]:
    refuse_pipe(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(100_000)
        headers = {
            delimiter: tuple(
                name.strip()
                for name in next(
                    csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True), []
                )
            )
            for delimiter in _DELIMITERS
        }
    except (csv.Error, UnicodeDecodeError) as error:
        raise _no_table(path, 1, error) from None
    delimiter = max(_DELIMITERS, key=lambda delimiter: len(headers[delimiter]))
    return delimiter, tuple(name for name in headers[delimiter])


def _no_table(path: Path, line: int, error: csv.Error | UnicodeDecodeError) -> UserError:
    if isinstance(error, UnicodeDecodeError):
        return UserError(f"{path}: not a CSV file in UTF-8: {error}")
    return UserError(
        f"{path}:{line}: not CSV: {printable(error)}",
        hint="put quotes around the whole cell, and write each quote inside it twice",
    )
