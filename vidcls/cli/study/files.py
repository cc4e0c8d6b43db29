"""Files of a study: JSON for scripts, CSV for a spreadsheet, markdown for a report."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vidcls.cli.common import refuse_overwrite
from vidcls.errors import UserError
from vidcls.text import printable, spreadsheet_cell

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder for the results as JSON, CSV and markdown."),
]


def refuse_written(out: Path | None, name: str, *, force: bool) -> None:
    """Refuse to overwrite an earlier study; called before the work.

    Raises:
        UserError: If the folder has a study and `force` is not set.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out: {out} is not a folder", hint="name a folder")
    refuse_overwrite(None if out is None else out / f"{name}.json", option="--out", force=force)


def write_study(
    out: Path,
    name: str,
    *,
    content: Mapping[str, Any],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    head: str,
    say: Callable[[str], None],
) -> None:
    """Write a study.

    Args:
        out: Folder of the files, created if needed.
        name: Name of the study, and of the JSON and the markdown file.
        content: Complete result, for the JSON file.
        tables: Rows by the name of the table and its CSV file; all rows of a table have the same keys.
        head: Line about the study.
        say: Receives a message with the folder.
    """
    from vidcls.files import write_json, write_text

    parts = [f"# {name}", head]
    for title, rows in tables.items():
        if not rows:
            continue
        lines: list[list[object]] = [list(rows[0]), *([_cell(v) for v in row.values()] for row in rows)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        write_text(out / f"{title}.csv", text.getvalue())
        escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
        escaped.insert(1, ["---"] * len(lines[0]))
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in escaped))
    write_text(out / f"{name}.md", "\n\n".join(parts) + "\n")
    write_json(out / f"{name}.json", content)  # written last: if it exists, the others do too
    say(f"wrote {out}/")


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return spreadsheet_cell(printable(value)) if isinstance(value, str) else value
