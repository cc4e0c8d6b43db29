"""Tables of a comparison as text, LaTeX and CSV, all from the plain values of `Comparison.as_dict` alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidcls.study.intervals import points, reach
from vidcls.tables import csv_lines, table_of
from vidcls.text import printable

Content = Mapping[str, Any]
_SHARES = {"top1": "top-1", "mean_class_acc": "class acc", "macro_f1": "macro F1"}
_SMALL_P = 0.001
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    # After the end of a row, LaTeX reads these two as options of it.
    "[": "{[}",
    "*": "{*}",
}


@dataclass(frozen=True)
class Grid:
    """Table of text.

    Attributes:
        title: What it shows.
        columns: Headers; those of numbers begin with `>`.
        rows: Cells.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def headers(self) -> list[str]:
        """Headers as they are shown."""
        return [name.removeprefix(">") for name in self.columns]


def grids(content: Content, *, per_class: bool) -> list[Grid]:
    """Tables of a comparison that have rows."""
    found = [configurations_grid(content), differences_grid(content)]
    found += [checkpoints_grid(content)] if content["mcnemar"] else []
    return [*found, classes_grid(content)] if per_class else found


def configurations_grid(content: Content) -> Grid:
    """Scores of each configuration, with the interval of the one that decides."""
    metric = content["metric"]
    others = [name for name in _SHARES if name != metric]
    rows = [
        (
            _rank(one),
            one["configuration"],
            str(len(one["seeds"])),
            points(one[metric]["value"]),
            _interval(one[metric]),
            *(points(one[name]["value"]) for name in others),
            f"{one['loss']['value']:.3f}",
            f"{one['ece']['value']:.3f}",
            one["leak_state"],
        )
        for one in content["configurations"]
    ]
    shares = [f">{_SHARES[name]} %" for name in (metric, *others)]
    columns = (
        ">rank",
        "configuration",
        ">seeds",
        shares[0],
        ">95 % interval",
        *shares[1:],
        ">log loss",
        ">ECE",
        "leak state",
    )
    return Grid(f"split: {content['split']}, checkpoint: {content['checkpoint']}", columns, tuple(rows))


def differences_grid(content: Content) -> Grid:
    """Paired differences on the same videos."""
    has_margin, num = content["margin"] is not None, content["num_comparisons"]
    rows = [
        (
            one["configuration"],
            one["minus"],
            points(one["value"], sign="+"),
            _interval(one, signed=True),
            p_text(one["p_value"]),
            *([p_text(one["p_holm"])] if num > 1 else []),
            *([p_text(one["p_equivalent"])] if has_margin else []),
            one["finding"],
        )
        for one in content["differences"]
    ]
    columns = (
        "configuration",
        "minus",
        f">points of {_SHARES[content['metric']]}",
        ">95 % interval",
        ">p",
        *([f">p, Holm over {num}"] if num > 1 else []),
        *([f">p of {100 * content['margin']:g} points or more"] if has_margin else []),
        "finding",
    )
    return Grid("paired differences on the same videos", columns, tuple(rows))


def checkpoints_grid(content: Content) -> Grid:
    """Exact McNemar tests of pairs of checkpoints."""
    rows = [
        (
            one["configuration"],
            one["minus"],
            str(one["only_configuration"]),
            str(one["only_minus"]),
            p_text(one["p_value"]),
        )
        for one in content["mcnemar"]
    ]
    columns = (
        "configuration",
        "against",
        ">right only in it",
        ">right only in the other",
        ">p, not corrected",
    )
    title = "exact McNemar test: about these two checkpoints only, with each video taken as independent"
    return Grid(title, columns, tuple(rows))


def classes_grid(content: Content) -> Grid:
    """Differences in recall of each class."""
    both = content["per_class"]
    rows = [
        (
            one["class"],
            str(one["num_videos"]),
            str(one["num_groups"]),
            points(one["recall"]),
            points(one["recall_of_minus"]),
            points(one["value"], sign="+"),
            _interval(one, signed=True),
            p_text(one["p_holm"]),
        )
        for one in both["classes"]
    ]
    num = sum(one["p_holm"] is not None for one in both["classes"])
    columns = (
        "class",
        ">videos",
        ">groups",
        ">recall %",
        ">of the other %",
        ">points",
        ">95 % interval",
        f">p, Holm over {num}",
    )
    return Grid(f"recall of each class: {both['configuration']} minus {both['minus']}", columns, tuple(rows))


def latex(content: Content, *, per_class: bool) -> str:
    """Tables for LaTeX with booktabs (https://ctan.org/pkg/booktabs); the verdict is a caption."""
    parts = ["% \\usepackage{booktabs}", *(f"% {printable(remark)}" for remark in content["remarks"])]
    for number, grid in enumerate(grids(content, per_class=per_class)):
        parts += latex_table(grid, caption=content["verdict"] if number == 0 else grid.title)
    return "\n".join(parts) + "\n"


def latex_table(grid: Grid, *, caption: str, is_wide: bool = False) -> list[str]:
    """Lines of a table with booktabs.

    Args:
        grid: Table.
        caption: Plain text above it.
        is_wide: Whether it may take both columns of a page, and shrinks to their width.
    """
    layout = "".join("r" if name.startswith(">") else "l" for name in grid.columns)
    star = "*" if is_wide else ""
    fit = "\\resizebox{\\ifdim\\width>\\textwidth \\textwidth\\else\\width\\fi}{!}{%"
    return [
        f"\\begin{{table{star}}}",
        "\\centering",
        f"\\caption{{{latex_escaped(caption)}}}",
        *([fit] if is_wide else []),
        f"\\begin{{tabular}}{{{layout}}}",
        "\\toprule",
        _latex_row(grid.headers),
        "\\midrule",
        *map(_latex_row, grid.rows),
        "\\bottomrule",
        "\\end{tabular}" + ("}" if is_wide else ""),
        f"\\end{{table{star}}}",
    ]


def csv_text(content: Content) -> str:
    """All numbers as one tidy table, a row a number with its interval; shares are 0 to 1."""
    rows: list[dict[str, Any]] = []
    for one in content["configurations"]:
        for name in (*_SHARES, "loss", "ece"):
            known = {key: one[key] for key in ("best_rank", "worst_rank", "leak_state")}
            rows.append(
                {"table": "configurations", "configuration": one["configuration"], "score": name}
                | {"seeds": len(one["seeds"]), **one[name], **known}
            )
    metric = content["metric"]
    rows += [{"table": "differences", "score": metric, **one} for one in content["differences"]]
    rows += [{"table": "mcnemar", **one} for one in content["mcnemar"]]
    pair = {key: content["per_class"][key] for key in ("configuration", "minus")}
    rows += [
        {"table": "per_class", "score": "recall", **pair, **one} for one in content["per_class"]["classes"]
    ]
    return "".join(csv_lines(table_of(rows, known=dict.fromkeys(("low", "high", "dof"), "float"))))


def p_text(p_value: float | None) -> str:
    """P-value with three decimals, `<0.001` below them, `-` if there is none."""
    if p_value is None:
        return "-"
    return f"<{_SMALL_P}" if p_value < _SMALL_P else f"{p_value:.3f}"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_escaped, cells)) + r" \\"


def latex_escaped(text: str) -> str:
    """Plain text for LaTeX, with a minus sign before negative numbers instead of a hyphen."""
    safe = "".join(_LATEX.get(sign, sign) for sign in printable(text))
    return re.sub(r"(?<![\w.)-])-(?=\d)", "$-$", safe)


def _rank(one: Content) -> str:
    best, worst = one["best_rank"], one["worst_rank"]
    return str(best) if best == worst else f"{best}-{worst}"


def _interval(one: Content, *, signed: bool = False) -> str:
    if one["low"] is None:
        return "-"
    return reach(one["low"], one["high"], sign="+" if signed else "")
