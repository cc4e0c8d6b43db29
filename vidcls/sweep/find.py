"""Finds the sweep that the user names, by its folder, a folder of runs, its name, or its file; or a run's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vidcls.errors import UserError, VidclsError, reason_of
from vidcls.run.folder import Run
from vidcls.spec.load import load_spec
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.storage.folder import SweepFolder, find_sweeps
from vidcls.sweep.storage.trials import Trial

_DIGEST = re.compile(r"-[0-9a-f]{8}$")
_RUNS = Path("runs")


def find_sweep(text: str | Path) -> SweepFolder:
    """Find a sweep from the text that the user typed.

    Args:
        text: Folder of the sweep, or a folder of runs that holds one; the name of a sweep below `runs`, with
            or without the digest of its folder; or the file from which the sweep was launched.

    Raises:
        UserError: If no sweep, or more than one, matches.
    """
    path = Path(text)
    named = _named(str(text))
    if path.is_file():
        return _launched_from(path)
    here = path.is_dir() and (SweepFolder(path).options_file.is_file() or bool(find_sweeps(path)))
    # The default `runs` always means the folder, even if a sweep has that name.
    if here and named and path != _RUNS:
        raise UserError(
            f"{text} is both a folder here and the name of a sweep in {_RUNS}; name one of them:",
            hint=f"./{text}\n{_choices(named)}",
        )
    if here or not named:
        return SweepFolder.open(path)
    return _one(named, f"{len(named)} sweeps in {_RUNS} have the name {text}; name one of them:")


def _trials_of(runs: Sequence[Run], *, say: Callable[[str], None]) -> dict[Run, tuple[SweepFolder, Trial]]:
    """Sweep and trial of each run that belongs to one and whose trial has ended or paused at least once.

    Args:
        runs: Runs of any kind.
        say: Receives a message about each sweep whose trials cannot be read; its runs are left out.
    """
    members: dict[Path, list[Run]] = {}
    for run in runs:
        sweep = next(
            (f for f in run.folder.absolute().parents if SweepFolder(f).options_file.is_file()), None
        )
        if sweep is not None:
            members.setdefault(sweep, []).append(run)
    found: dict[Run, tuple[SweepFolder, Trial]] = {}
    for path, its_runs in members.items():
        folder = SweepFolder(path)
        try:
            trials = folder.trials().refresh()
            # Two trials with the same settings share a run; the first one counts.
            first = {its.folder: t for t in reversed(trials) if (its := folder.run_of(t)) is not None}
        except (VidclsError, OSError) as error:
            say(f"{path}: its trials cannot be read: {reason_of(error)}")
            continue
        for run in its_runs:
            if (trial := first.get(run.folder.absolute())) is not None:
                found[run] = (folder, trial)
    return found


def trial_facts(runs: Sequence[Run], *, say: Callable[[str], None]) -> dict[Run, dict[str, Any]]:
    """Sweep, trial, configuration and repeat of each run that is one of a sweep; see `_trials_of`."""
    return {
        run: {
            "sweep": sweep.path.name,
            "trial": trial.number,
            "configuration": trial.configuration,
            "repeat": trial.repeat,
        }
        for run, (sweep, trial) in _trials_of(runs, say=say).items()
    }


def short_name(sweep: SweepFolder) -> str:
    """Name of a sweep without the digest of its folder."""
    return _DIGEST.sub("", sweep.path.name)


def _named(name: str, runs_dir: Path = _RUNS) -> list[SweepFolder]:
    """Sweeps with a name below a folder of runs; a name with a slash is a path and matches none."""
    found = find_sweeps(runs_dir)
    return [sweep for sweep in found if name in (sweep.path.name, short_name(sweep))]


def _launched_from(file: Path) -> SweepFolder:
    sweep = load_sweep(file)
    runs_dir = Path(load_spec(sweep.spec_path, sweep.overrides, data_file=sweep.data_file).spec.runs_dir)
    called = _named(sweep.slug, runs_dir)
    found = [one for one in called if one.sweep_file.read_text() == sweep.text]
    if not found and called:
        raise UserError(
            f"{file} was changed since its launch: no sweep was launched from the present content",
            hint=f"vidcls sweep launch {file}; or name a sweep that was launched before:\n{_choices(called)}",
        )
    if not found:
        raise UserError(
            f"{file}: not launched yet (no such sweep in {runs_dir})", hint=f"vidcls sweep launch {file}"
        )
    return _one(found, f"{len(found)} sweeps were launched from {file}; name one of them:")


def _one(found: list[SweepFolder], several: str) -> SweepFolder:
    if len(found) > 1:
        raise UserError(several, hint=_choices(found).lstrip())
    return found[0]


def _choices(found: list[SweepFolder]) -> str:
    here = Path.cwd()
    paths = [one.path.relative_to(here) if one.path.is_relative_to(here) else one.path for one in found]
    return "\n".join(f"  {path}" for path in paths)
