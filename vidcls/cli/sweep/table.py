"""Tables that show the status of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vidcls.cli.common import shown
from vidcls.sweep.storage.folder import SweepFolder

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vidcls.sweep.status import Overview, WorkerRow
    from vidcls.sweep.storage.trials import Trial

_MANY = 8
_REASON = 70
_SHOWN = {"paused": "not promoted"}
"""Displayed names of states: a trial that ASHA has not promoted was not paused by the user."""


def show(overview: Overview, *, everything: bool) -> None:
    """Print the whole overview. Lines are never wrapped or cut, so that the user can copy paths."""
    from vidcls.cli.common import console
    from vidcls.cli.output.screen import Table

    screen = console()
    for part in render(overview, everything=everything):
        screen.print(part, soft_wrap=not isinstance(part, Table))


def render(overview: Overview, *, everything: bool) -> list[RenderableType]:
    """Lines and tables of the overview: the first few of each kind, or all with `everything`."""
    from vidcls.cli.output.screen import styled

    most = None if everything else _MANY
    parts: list[RenderableType] = [styled(_headline(overview), "bold"), _counts(overview)]
    if overview.best:
        parts.append(f"leak state of the data: {overview.leak_state}")
        title = "best so far" if overview.best[0].state == "finished" else "best so far, no trial finished"
        parts.append(_trials(title, overview.best, overview.metric, most=most))
    if everything:
        parts.append(_trials("trial", overview.trials, overview.metric, most=None, with_state=True))
    elif overview.running:
        parts.append(_trials("running", overview.running, overview.metric, most=most))
    if overview.failed:
        parts += _failures(overview, most=most)
    if overview.workers:
        parts.append(_workers(overview.workers, most=most))
    parts += [styled(line, "dim") for line in overview.advice]
    parts += [styled(line, "yellow") for line in overview.notes]
    return parts


def _headline(overview: Overview) -> str:
    planned = "" if overview.num_trials is None else f" of {overview.num_trials}"
    ended = sum(overview.counts.get(state, 0) for state in ("finished", "stopped", "failed", "paused"))
    eta = "" if overview.eta_s is None else f"  left {_clock(overview.eta_s)}"
    return f"{overview.name}: {overview.state}  {ended}{planned} trials{eta}"


def _counts(overview: Overview) -> str:
    states = ("finished", "stopped", "paused", "running", "waiting", "failed")
    counts = "  ".join(
        f"{overview.counts[state]} {_SHOWN.get(state, state)}"
        for state in states
        if overview.counts.get(state)
    )
    cost = f"{overview.worker_hours:.2f} worker hours, {overview.gpu_hours:.2f} GPU hours"
    return f"{counts or 'no trial yet'}  ({cost})"


def _trials(
    title: str, trials: Sequence[Trial], metric: str, *, most: int | None, with_state: bool = False
) -> RenderableType:
    from rich.table import Column

    from vidcls.cli.output.screen import Table

    # In a narrow window number and value stay whole, and the point is folded.
    first = Column(title, justify="right", no_wrap=True)
    value = Column(metric, justify="right", no_wrap=True)
    state = [Column("state", no_wrap=True)] if with_state else []
    table = Table(first, *state, value, Column("epoch", no_wrap=True), "seed", "point", box=None)
    for trial in trials[:most]:
        shown_value = "" if trial.value is None else f"{trial.value:.4f}"
        its_state = [_SHOWN.get(trial.state, trial.state)] if with_state else []
        cells = (str(trial.number), *its_state, shown_value, str(trial.epoch), str(trial.seed))
        table.add_row(*cells, _point(trial.point))
    if most is not None and len(trials) > most:
        table.add_row("...", "", "", "", f"and {len(trials) - most} more: --all shows them")
    return table


def _failures(overview: Overview, *, most: int | None) -> list[RenderableType]:
    """Two lines per failure: number and reason, which may be shortened, and the full path of the log."""
    from vidcls.cli.output.screen import styled

    lines: list[RenderableType] = [styled("failed", "bold")]
    for trial in overview.failed[:most]:
        reason = str((trial.end or {}).get("message", "")).splitlines()
        lines.append(f"{trial.number:>6}  {(reason[0] if reason else 'its workers died')[:_REASON]}")
        lines.append(f"        {shown(SweepFolder(overview.folder).trial_log(trial.number))}")
    if most is not None and len(overview.failed) > most:
        lines.append(f"   ...  and {len(overview.failed) - most} more: --all shows them")
    return lines


def _workers(rows: Sequence[WorkerRow], *, most: int | None) -> RenderableType:
    from rich.table import Column

    from vidcls.cli.output.screen import Table

    table = Table("worker", "host", Column("state", no_wrap=True), "queue", "trials", "time", box=None)
    alive = [row for row in rows if row.state != "dead"]
    for row in alive[:most]:
        trials = ", ".join(map(str, row.trials))
        table.add_row(row.name, row.host, row.state, row.queue, trials, _clock(row.seconds))
    if most is not None and len(alive) > most:
        table.add_row("...", "", "", f"and {len(alive) - most} more: --all shows them", "", "")
    if num_dead := len(rows) - len(alive):
        table.add_row("...", "", "dead", f"{num_dead}; other workers take over their trials", "", "")
    return table


def _point(point: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in point.items()
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
