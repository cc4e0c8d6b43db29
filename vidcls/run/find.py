"""Finds runs: one that was named, or all below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcls.errors import UserError
from vidcls.run.folder import Run


def open_run(folder: Path) -> Run:
    """Open an existing run by its folder, or by the folder of an experiment with only one run.

    Raises:
        UserError: If there is no run; the message lists similar paths.
    """
    run = Run(folder)
    if run.spec_file.is_file():
        return run
    below = find_runs(folder)
    if len(below) == 1:
        return below[0]
    if below:
        listing = "\n".join(f"  {other.folder}" for other in below[:10])
        raise UserError(f"{folder} contains {len(below)} runs; name one of them:\n{listing}")
    raise UserError(f"{folder}: not a run (no spec.yaml)", hint="vidcls runs ls lists all runs")


def find_runs(root: Path) -> list[Run]:
    """All runs below a folder, sorted by name, without runs that were set aside."""
    return [Run(folder) for folder in sorted(_run_folders(root))]


def _run_folders(folder: Path) -> Iterator[Path]:
    """Folders of runs. A run holds no other run, so what is inside of it is not searched."""
    if Run(folder).spec_file.is_file():
        yield folder
        return
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.is_dir(follow_symlinks=False) and e.name[0] != "."]
    except OSError:
        return  # not a folder, or one that may not be read
    for name in names:
        yield from _run_folders(folder / name)


def open_runs(folders: Sequence[Path]) -> list[Run]:
    """Open the runs in folders; a folder with several runs gives all of them.

    Raises:
        UserError: If a folder has no run.
    """
    runs: list[Run] = []
    for folder in folders:
        runs += [Run(folder)] if Run(folder).spec_file.is_file() else find_runs(folder) or [open_run(folder)]
    return list(dict.fromkeys(runs))
