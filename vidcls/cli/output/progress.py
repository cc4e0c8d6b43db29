"""Progress bar for work in several stages: reading files, decoding, finding relatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from vidcls.cli.common import console
from vidcls.process.signals import Signals

if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bar on stderr, if that is a terminal; yields a callback for (stage, done, total).

    A signal ends the work at its next step: exit code 1, or 75 after a warning of the queue.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console(stderr=True)
    what = TextColumn("{task.description}", markup=False)
    columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_live) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=None)
            bar.update(tasks[stage], completed=done, total=total)

        with Signals() as signals:
            yield signals.heeding(progress)


@contextmanager
def one_stage(what: str) -> Iterator[Callable[[int, int], None]]:
    """Same as `stages` with one stage; yields a callback for (done, total)."""
    with stages() as progress:
        yield partial(progress, what)
