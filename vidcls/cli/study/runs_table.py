"""Rows of `vidcls runs ls`: selection and order of runs, and the columns."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcls.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from vidcls.run.folder import Run

_CONDITION = re.compile(r"(?P<key>[\w./-]+?)\s*(?P<sign><=|>=|!=|=|<|>)\s*(?P<value>.*)", re.DOTALL)
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class RunsTable:
    """Table of runs with all values by name: default columns, metrics and settings.

    Args:
        of_one_run: Names that have a meaning only for single runs, if a row stands for several.
    """

    def __init__(self, *, of_one_run: Sequence[str] = ()) -> None:
        self._of_one_run = of_one_run
        self.rows: list[dict[str, Any]] = []
        self._known: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any], known: dict[str, Any]) -> None:
        """Add a run.

        Args:
            row: Values that are shown unless `--columns` selects others.
            known: Other values for sorting and filtering.
        """
        self.rows.append(row)
        self._known.append({**known, **row})

    def choose(self, conditions: Sequence[str]) -> None:
        """Keep the rows for which all conditions hold, such as `state=finished` or `val_top1>0.9`."""
        for text in conditions:
            match = _CONDITION.fullmatch(text)
            if match is None:
                raise UserError(
                    f"--filter {text}: expected KEY=VALUE", hint="allowed: =, !=, <, <=, > and >="
                )
            self._require(match["key"], option="--filter")
            kept = [_holds(of.get(match["key"]), match["sign"], match["value"]) for of in self._known]
            self._take([number for number, keep in enumerate(kept) if keep])

    def sort(self, key: str) -> None:
        """Sort the rows by a value, with `-KEY` from the largest; rows without the value come last."""
        name = key.removeprefix("-")
        self._require(name, option="--sort")
        have = [number for number, of in enumerate(self._known) if of.get(name) is not None]
        rest = [number for number in range(len(self.rows)) if number not in have]
        # Text and numbers cannot be compared; a setting may be text in one kind of model and a number in
        # another.
        is_text = any(not _is_number(self._known[number][name]) for number in have)

        def value(number: int) -> Any:
            return str(self._known[number][name]) if is_text else self._known[number][name]

        self._take(sorted(have, key=value, reverse=key.startswith("-")) + rest)

    def columns(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Selected values of every row."""
        for name in names:
            self._require(name, option="--columns")
        return [{name: of.get(name) for name in names} for of in self._known]

    def _take(self, numbers: Sequence[int]) -> None:
        self.rows = [self.rows[number] for number in numbers]
        self._known = [self._known[number] for number in numbers]

    def _require(self, key: str, *, option: str) -> None:
        if key in self._of_one_run:
            raise UserError(
                f"{option}: {key} is of one run, and a row of --by config stands for several",
                hint="leave out --by config, or this option",
            )
        names = list(dict.fromkeys(name for of in self._known for name in of))
        if names and key not in names:
            meant = did_you_mean(key, names)
            raise UserError(
                f"{option}: no run has {key}{meant and f'; {meant}'}",
                hint="for example run, state, val_top1, epoch, elapsed_s, seed, optim.lr, val/loss",
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _holds(value: Any, sign: str, text: str) -> bool:
    if value is None:
        return (text in ("null", "")) == (sign == "=")
    if _is_number(value):
        try:
            return _SIGNS[sign](value, float(text))
        except ValueError:
            return sign == "!="
    if sign not in ("=", "!="):
        raise UserError(f"--filter: {value} is not a number, so {sign} has no meaning", hint="use = or !=")
    words = str(value).lower() if isinstance(value, bool) else str(value)
    return fnmatchcase(words, text) == (sign == "=")


def part_of(run: Run, folder: Path) -> str | None:
    """Sweep or study to which a run belongs, unless the folder lies inside of it; None for other runs.

    Args:
        run: Run below the folder.
        folder: Folder in which runs are listed; runs of a sweep or study given as folder are not hidden.

    Raises:
        VidclsError: If the run's provenance is damaged.
    """
    between = run.folder.relative_to(folder).parts[:-1]
    if "sweeps" in between:
        return "sweep"
    # A study writes the tables of its splits into the folder of runs.
    runs_dir = run.folder.absolute().parent.parent
    is_study = Path(run.provenance()["data_root"]).is_relative_to(runs_dir)
    return "study" if is_study and between else None
