"""Finds the runs that a user names by folders, configurations, sweeps and patterns."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidcls.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from vidcls.run.folder import Run
    from vidcls.sweep.storage.folder import SweepFolder

_RUNS = Path("runs")
_SPECS = (".yaml", ".yml")


def named_runs(texts: Sequence[str], *, say: Callable[[str], None]) -> list[Run]:
    """Find the runs that texts name, each once, in the order of the texts.

    Args:
        texts: Each is a run, a folder of runs, a sweep (by folder, name or file), a configuration
            (`runs/NAME/FINGERPRINT` or `NAME/FINGERPRINT`, of which the beginning is enough), or a pattern
            such as `runs/late_*`.
        say: Receives a message about trials of a sweep that are left out because they did not finish.

    Raises:
        UserError: If a text names no run.
    """
    found: list[Run] = []
    for text in texts:
        found += _named(text, say)
    return list(dict.fromkeys(found))


def _named(text: str, say: Callable[[str], None]) -> list[Run]:
    from vidcls.run.find import find_runs
    from vidcls.sweep.find import short_name
    from vidcls.sweep.storage.folder import SweepFolder, find_sweeps

    path = Path(text)
    if path.is_dir():
        if SweepFolder(path).options_file.is_file():
            return _finished_trials(SweepFolder(path), say)
        if runs := _runs_in(path, say):
            return runs
        _refuse_fusion(path)
    if path.is_file():
        return _of_sweep(text, say)
    for folder in (Path(), _RUNS):
        if runs := _matching(folder, text, say):
            return runs
    if (_RUNS / path).is_dir() and (runs := _runs_in(_RUNS / path, say)):
        return runs
    if "/" not in text and find_sweeps(_RUNS):
        try:
            return _of_sweep(text, say)
        except UserError as error:
            if "name one of them" in error.message:
                raise
    names = {run.folder.parent.name for run in find_runs(_RUNS)} | set(map(short_name, find_sweeps(_RUNS)))
    meant = did_you_mean(text, sorted({*names, *(str(_RUNS / name) for name in names)}))
    raise UserError(
        f"{text}: no run, configuration, sweep or folder of runs{meant and f'; {meant}'}",
        hint="vidcls runs ls lists all runs",
    )


def _runs_in(path: Path, say: Callable[[str], None]) -> list[Run]:
    """A run, or the runs of a folder, without those of sweeps and studies inside of it if it has others."""
    from vidcls.cli.study.runs_table import part_of
    from vidcls.run.find import find_runs
    from vidcls.run.folder import Run

    if Run(path).spec_file.is_file():
        return [Run(path)]
    found = find_runs(path)
    own = [run for run in found if part_of(run, path) is None]
    if own and len(own) < len(found):
        num = len(found) - len(own)
        say(f"{path}: {num} runs of sweeps and studies in it are left out; name a sweep to compare its runs")
    return own or found


def _matching(folder: Path, text: str, say: Callable[[str], None]) -> list[Run]:
    """Runs of folders that match a pattern, or whose name begins as a configuration `NAME/FINGERPRINT`."""
    from vidcls.run.folder import Run

    if glob.has_magic(text):
        return [run for path in _matches(folder, text) if path.is_dir() for run in _runs_in(path, say)]
    if "/" not in text.rstrip("/"):
        return []
    begun = _matches(folder, f"{glob.escape(text.rstrip('/'))}*-s*")
    return [Run(path) for path in begun if Run(path).spec_file.is_file()]


def _matches(folder: Path, pattern: str) -> list[Path]:
    # Below the current folder, paths stay as the user typed them.
    whole = pattern if folder == Path() else str(folder / pattern)
    return [Path(name) for name in sorted(glob.glob(whole))]  # noqa: PTH207  (a pattern may be absolute)


def _of_sweep(text: str, say: Callable[[str], None]) -> list[Run]:
    from vidcls.sweep.find import find_sweep

    return _finished_trials(find_sweep(text), say)


def _finished_trials(sweep: SweepFolder, say: Callable[[str], None]) -> list[Run]:
    """Runs of a sweep that finished: what its rules stopped early is no result of as many epochs."""
    from vidcls.run.find import find_runs

    runs = find_runs(sweep.runs_dir)
    finished = [run for run in runs if run.state == "finished"]
    if not finished:
        raise UserError(
            f"{sweep.path}: none of its {len(runs)} runs is finished",
            hint=f"vidcls sweep status {sweep.path}",
        )
    if len(finished) < len(runs):
        say(f"{sweep.path.name}: {len(runs) - len(finished)} of {len(runs)} runs are left out: not finished")
    return finished


def _refuse_fusion(path: Path) -> None:
    if any(path.glob("report/*/fusion.json")):
        raise UserError(
            f"{path}: is a fusion and not a run: it has no seeds of its own",
            hint="vidcls fuse shows its gain over its best run, with an interval",
        )


def chosen_in_sweeps(runs: Sequence[Run]) -> dict[Run, str]:
    """How each run may have been chosen by its score on val: as one of several configurations of a sweep.

    Runs of a sweep whose configurations are all among the runs were not chosen.
    """
    from vidcls.sweep.storage.folder import SweepFolder

    members: dict[Path, list[Run]] = {}
    for run in runs:
        # runs/sweeps/NAME/runs/EXPERIMENT/FINGERPRINT-sSEED
        sweep = run.folder.absolute().parents[2]
        if SweepFolder(sweep).options_file.is_file():
            members.setdefault(sweep, []).append(run)
    return {
        run: "may be the best of a sweep on these videos"
        for sweep, its_runs in members.items()
        if _configurations_below(sweep) - {_configuration(run.folder) for run in its_runs}
        for run in its_runs
    }


def _configurations_below(sweep: Path) -> set[str]:
    from vidcls.sweep.storage.folder import SweepFolder

    return {_configuration(path) for path in SweepFolder(sweep).runs_dir.glob("*/*-s*")}


def _configuration(folder: Path) -> str:
    return folder.name.rpartition("-s")[0]
