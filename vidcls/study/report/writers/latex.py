r"""Report for LaTeX: tables with booktabs, figures as wide as a column or a page of the CVPR template.

The file is a part to be included by `\input`. It needs the packages booktabs and graphicx, and Unicode
letters in class names need a LaTeX that reads them, such as LuaLaTeX.
"""

from __future__ import annotations

from vidcls.study.compare.tables import Grid, latex_escaped, latex_table
from vidcls.study.report.document import Block, Chart, Coordinates, Document, Picture, Text
from vidcls.study.report.writers.charts import COLUMN_IN

_MAX_ROWS = 40
"""Largest number of rows of a table that fits on a page."""
_MAX_COLUMNS = 12
_NOT_PRINTED = {"answers", "what was run"}


def latex(document: Document, *, figures: str) -> str:
    """Report as text.

    Args:
        document: Report.
        figures: Folder of the figures, relative to the text.
    """
    lines = [
        f"% {document.title}".replace("\n", " "),
        "% \\usepackage{booktabs,graphicx}",
        f"% \\graphicspath{{{{{figures}/}}}}",
    ]
    for section in document.sections:
        lines += ["", f"\\section{{{latex_escaped(section.title)}}}"]
        for block in section.blocks:
            lines += _block(block)
    return "\n".join(lines) + "\n"


def _block(block: Block) -> list[str]:
    match block:
        case Text(paragraphs=paragraphs, is_list=True):
            items = [f"\\item {latex_escaped(each)}" for each in paragraphs]
            return ["\\begin{itemize}", *items, "\\end{itemize}"]
        case Text(paragraphs=paragraphs):
            return [line for each in paragraphs for line in (latex_escaped(each), "")]
        case Grid():
            return _table(block)
        case Coordinates(data=data):
            return _table(data)
        case Chart(stem=stem, caption=caption, size_in=(width, _)):
            return _figure(f"{stem}.pdf", caption, is_wide=width > COLUMN_IN)
        case Picture(stem=stem, caption=caption):
            return _figure(f"{stem}.jpg", caption, is_wide=True)


def _figure(file: str, caption: str, *, is_wide: bool) -> list[str]:
    star, width = ("*", "\\textwidth") if is_wide else ("", "\\columnwidth")
    return [
        f"\\begin{{figure{star}}}",
        "\\centering",
        f"\\resizebox{{\\ifdim\\width>{width} {width}\\else\\width\\fi}}{{!}}{{\\includegraphics{{{file}}}}}",
        f"\\caption{{{latex_escaped(caption)}}}",
        f"\\end{{figure{star}}}",
    ]


def _table(grid: Grid) -> list[str]:
    """A table that fits on a page; of a larger one, the first rows and columns, as the caption says."""
    columns, rows = grid.columns[:_MAX_COLUMNS], grid.rows[:_MAX_ROWS]
    cut = []
    if len(grid.rows) > len(rows):
        cut.append(f"the first {len(rows)} of {len(grid.rows)} rows")
    if len(grid.columns) > len(columns):
        cut.append(f"the first {len(columns)} of {len(grid.columns)} columns")
    title = f"{grid.title} ({', '.join(cut)}; the page has all)" if cut else grid.title
    shown = Grid(title, columns, tuple(row[: len(columns)] for row in rows))
    return latex_table(shown, caption=title, is_wide=True)
