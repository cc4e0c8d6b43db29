"""Writes tables as CSV and Parquet, with typed columns, for pandas, polars, R and spreadsheets.

Both files have the same columns. Text of a CSV is made safe for terminals and spreadsheets, as in
`vidcls.text`; a Parquet file has it unchanged, except for names whose bytes are not UTF-8.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never

from vidcls.files import atomic_file
from vidcls.text import is_unicode, printable, spreadsheet_cell

Kind = Literal["text", "bool", "int", "float", "float32"]
Block = Mapping[str, Sequence[Any]]
"""Values by column, all of one length; None is an empty value. A column that is left out is empty."""

_LARGEST_INT = 2**63
_CSV_ROWS = 1000


@dataclass(frozen=True)
class Table:
    """Table of typed columns.

    Attributes:
        kinds: Type of the values of each column, in the order of the columns.
        blocks: Rows, a block at a time, so that a long table never has to be in memory as a whole. A column
            of the type `float32` may be a NumPy array.
    """

    kinds: Mapping[str, Kind]
    blocks: Iterable[Block]


def table_of(rows: Sequence[Mapping[str, Any]], *, known: Mapping[str, Kind] | None = None) -> Table:
    """Table of plain rows, which may have different keys; other types are inferred from the values.

    Whole numbers beyond 64 bits become floats. A column with values of different types becomes text, in which
    lists and objects are JSON; so does one that is empty throughout.

    Args:
        rows: Values by column.
        known: Types of columns that may be empty throughout.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds: dict[str, Kind] = {}
    block: dict[str, Sequence[Any]] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        present = [value for value in values if value is not None]
        kinds[name] = _kind_of(present) if present else (known or {}).get(name, "text")
        block[name] = [None if value is None else _converted(value, kinds[name]) for value in values]
    return Table(kinds, [block])


def _kind_of(values: Sequence[Any]) -> Kind:
    types = {type(value) for value in values}
    if types == {bool}:
        return "bool"
    if types == {int} and all(abs(value) < _LARGEST_INT for value in values):
        return "int"
    return "float" if types <= {int, float} else "text"


def _converted(value: Any, kind: Kind) -> Any:
    if kind == "float":
        return float(value)
    if kind == "text" and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value


def csv_lines(table: Table) -> Iterator[str]:
    """Yield the lines of a CSV, header first, many lines at a time.

    Numbers are written so that they read back to the same value, booleans as `true` and `false`, which
    pandas, polars and R all recognise, and empty values as nothing.
    """
    yield _csv([[_text_cell(name) for name in table.kinds]])
    for block in table.blocks:
        num_rows = _length(block)
        for start in range(0, num_rows, _CSV_ROWS):
            stop = min(start + _CSV_ROWS, num_rows)
            cells = [
                _cells(block[name][start:stop], kind) if name in block else [""] * (stop - start)
                for name, kind in table.kinds.items()
            ]
            yield _csv(zip(*cells, strict=True))


def write_csv(table: Table, path: Path) -> None:
    """Write a CSV file in UTF-8, whole or not at all.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_file(path) as file:
        for lines in csv_lines(table):
            file.write(lines.encode())


def write_parquet(table: Table, path: Path) -> None:
    """Write a Parquet file (https://parquet.apache.org/docs/file-format/), whole or not at all.

    Raises:
        OSError: If the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    types = {
        "text": pa.string(),
        "bool": pa.bool_(),
        "int": pa.int64(),
        "float": pa.float64(),
        "float32": pa.float32(),
    }
    schema = pa.schema([(_utf8(name), types[kind]) for name, kind in table.kinds.items()])
    with atomic_file(path) as file, ParquetWriter(file, schema) as writer:
        for block in table.blocks:
            columns = []
            for (name, kind), field in zip(table.kinds.items(), schema, strict=True):
                values = block.get(name)
                if values is None:
                    columns.append(pa.nulls(_length(block), field.type))
                    continue
                if kind == "text":
                    values = [None if value is None else _utf8(value) for value in values]
                columns.append(pa.array(values, field.type))
            writer.write_table(pa.table(columns, schema=schema))


def _length(block: Block) -> int:
    return len(next(iter(block.values()), ()))


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(values: Sequence[Any], kind: Kind) -> list[str]:
    match kind:
        case "text":
            # Most columns of many runs repeat a few texts.
            shown = {value: "" if value is None else _text_cell(value) for value in set(values)}
            return [shown[value] for value in values]
        case "bool":
            return ["" if value is None else str(value).lower() for value in values]
        case "int" | "float":
            return ["" if value is None else repr(value) for value in values]
        case "float32":
            import numpy as np

            # The shortest text that reads back to the same float32, such as 0.9.
            return [str(text) for text in np.asarray(values, np.float32).astype(np.str_)]
        case _:
            assert_never(kind)


def _text_cell(text: str) -> str:
    return spreadsheet_cell(printable(text))


def _utf8(text: str) -> str:
    return text if is_unicode(text) else printable(text)
