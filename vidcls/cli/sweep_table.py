"""A sweep as tables a person can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vidcls.cli.common import shown

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vidcls.sweep.status import Overview, WorkerRow
    from vidcls.sweep.trials import Trial

_MANY = 8
_REASON = 80
_SHOWN = {"paused": "not promoted"}
"""Nobody paused what ASHA holds back; `vidcls glossary` says more."""


def render(overview: Overview) -> RenderableType:
    """The whole overview."""
    from rich.console import Group

    from vidcls.cli.screen import styled

    parts: list[RenderableType] = [styled(_headline(overview), "bold"), _counts(overview)]
    if overview.best:
        parts.append(f"leak state of the data: {overview.leak_state}")
        title = "best so far" if overview.best[0].state == "finished" else "best so far, none finished"
        parts.append(_trials(title, overview.best, overview.metric))
    if overview.running:
        parts.append(_trials("running", overview.running, overview.metric))
    if overview.failed:
        parts.append(_failures(overview))
    if overview.workers:
        parts.append(_workers(overview.workers))
    parts += [styled(line, "dim") for line in overview.advice]
    parts += [styled(line, "yellow") for line in overview.notes]
    return Group(*parts)


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


def _trials(title: str, trials: Sequence[Trial], metric: str) -> RenderableType:
    from rich.table import Column

    from vidcls.cli.screen import Table

    table = Table(
        Column(title, justify="right"), Column(metric, justify="right"), "epoch", "seed", "point", box=None
    )
    for trial in trials[:_MANY]:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        table.add_row(str(trial.number), value, str(trial.epoch), str(trial.seed), _point(trial.point))
    if len(trials) > _MANY:
        table.add_row("...", "", "", "", f"and {len(trials) - _MANY} more")
    return table


def _failures(overview: Overview) -> RenderableType:
    from rich.table import Column

    from vidcls.cli.screen import Table

    # One line each: the log has the rest, and its path must not be broken.
    table = Table("failed", Column("reason", no_wrap=True), Column("log", no_wrap=True), box=None)
    for trial in overview.failed[:_MANY]:
        reason = str((trial.end or {}).get("message", "")).splitlines()
        log = shown(overview.folder / "trials" / f"{trial.number:05d}" / "log.txt")
        short = (reason[0] if reason else "its workers died")[:_REASON]
        table.add_row(str(trial.number), short, log)
    return table


def _workers(rows: Sequence[WorkerRow]) -> RenderableType:
    from vidcls.cli.screen import Table

    table = Table("worker", "host", "state", "queue", "trials", "time", box=None)
    alive = [row for row in rows if row.state != "dead"]
    for row in alive[:_MANY]:
        trials = ", ".join(map(str, row.trials))
        table.add_row(row.name, row.host, row.state, row.queue, trials, _clock(row.seconds))
    if len(alive) > _MANY:
        table.add_row("...", "", "", f"and {len(alive) - _MANY} more", "", "")
    if num_dead := len(rows) - len(alive):
        table.add_row("...", "", "dead", f"{num_dead}, whose trials others take over", "", "")
    return table


def _point(point: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in point.items()
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
