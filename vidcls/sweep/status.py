"""Status of a sweep, computed from its folder alone; the queue is asked if possible."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from vidcls.launch.job import Task
from vidcls.leaks.run_state import leaks_of
from vidcls.run.folder import Run
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.search.build import race_of, searcher_of
from vidcls.sweep.search.scheduler import planned_trials
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions
from vidcls.sweep.storage.jobs import SweepJobs, ask_queues
from vidcls.sweep.storage.retention import best_so_far
from vidcls.sweep.storage.trials import Trial
from vidcls.sweep.storage.worker_heartbeat import LivenessMonitor, Report, Workers

_FEW = 3
"""Number of ended trials before there is advice about resources."""
_ROOM = 1.25
"""Safety factor on the largest resource use seen so far."""
_WORKER_BYTES = 200e6


@dataclass(frozen=True)
class WorkerRow:
    """Table row of a worker or a task.

    Attributes:
        name: Task in the queue, or host and process.
        host: Host on which it runs.
        state: State that the worker reports; `dead` if it no longer reports.
        queue: State in the queue; empty if the queue does not know the task.
        trials: Numbers of the trials that it trains.
        seconds: Seconds since it started.
    """

    name: str
    host: str
    state: str
    queue: str
    trials: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Overview:
    """State of a sweep at one moment; `leak_state` is the leak state of the data of the best trials."""

    name: str
    folder: Path
    state: str
    metric: str
    goal: str
    leak_state: str
    num_trials: int | None
    counts: dict[str, int]
    best: tuple[Trial, ...]
    running: tuple[Trial, ...]
    failed: tuple[Trial, ...]
    trials: tuple[Trial, ...]
    workers: tuple[WorkerRow, ...]
    eta_s: float | None
    gpu_hours: float
    worker_hours: float
    advice: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())


class SweepObserver:
    """Reads the state of one sweep repeatedly; ended trials are read only once."""

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder
        self._sweep, self._options = load_sweep(folder.sweep_file), folder.options()
        self._trials, self._workers = folder.trials(), Workers(folder.storage)
        self._liveness = LivenessMonitor(folder.storage, lease_s=self._options.lease_s)

    def look(self) -> Overview:
        """Read the current state of the sweep."""
        sweep, trials, reports = self._sweep, self._trials.refresh(), self._workers.refresh()
        queued = ask_queues(self.folder)
        rows = _worker_rows(reports, queued, self._liveness.is_dead)
        events = self.folder.control()
        control = events.current()
        damaged = [*self._workers.damaged.values(), *events.damaged.values()]
        race = race_of(self.folder)
        space = searcher_of(self.folder).num_configurations
        num_trials = planned_trials(sweep, self._options, space, control.extra_trials)
        goal = sweep.objective.goal
        best = best_so_far(trials, goal=goal)[:5]
        counts: Counter[str] = Counter(trial.state for trial in trials)
        totals = self._workers.totals()
        busy = [row for row in rows if row.state not in ("dead", "gone")]
        state = _state(
            control.state, counts, num_trials, len(trials), num_workers=len(busy), silent=bool(queued.silent)
        )
        return Overview(
            name=sweep.name,
            folder=self.folder.path,
            state=state,
            metric=sweep.objective.name,
            goal=goal,
            leak_state=leak_state_of(self.folder, best),
            num_trials=num_trials,
            counts=dict(counts),
            best=tuple(best),
            running=tuple(trial for trial in trials if trial.state == "running"),
            failed=tuple(trial for trial in trials if trial.state == "failed"),
            trials=tuple(trials),
            workers=tuple(rows),
            eta_s=_eta_s(trials, num_trials, sum(len(row.trials) for row in busy)),
            gpu_hours=totals.gpu_s / 3600,
            worker_hours=totals.worker_s / 3600,
            advice=tuple(advice(trials, self._options)),
            notes=(
                *queued.notes,
                *map(str, damaged),
                *self._of_unheard(unheard_tasks(queued.tasks, reports, self._liveness.is_dead)),
                *([] if race is not None and race.is_over else _next_step(state, self.folder)),
            ),
        )

    def _of_unheard(self, tasks: Sequence[Task]) -> list[str]:
        """Notes about tasks without a worker: a queue whose controller was restarted may have lost them.

        Soon after a submission its workers are starting, so nothing is said for the length of a lease.
        """
        if not tasks:  # As where the file of a submission is damaged, which is a note of its own.
            return []
        submitted = [submission.file.stat().st_mtime for submission in self.folder.submissions().all()]
        if time.time() - max(submitted, default=0.0) < self._options.lease_s:
            return []
        return [
            f"{task.name} runs, as its queue says, but no worker reports from there: it is starting, or the "
            f"queue has lost it. If this stays: {task.cancel}; then: vidcls sweep resume {self.folder.path}"
            for task in tasks
        ]


def unheard_tasks(
    tasks: Sequence[Task], reports: Sequence[Report], is_dead: Callable[[str], bool]
) -> list[Task]:
    """Tasks that run, as their queue says, but from which no living worker reports."""
    heard = {report.job for report in reports if report.gone is None and not is_dead(report.id)}
    return [task for task in tasks if task.state == "running" and task.name not in heard]


def leak_state_of(folder: SweepFolder, trials: Sequence[Trial]) -> str:
    """Leak state of the training data of trials; all states if the data is searched too."""
    runs = [run for trial in trials if (run := folder.run_of(trial)) is not None]
    # Before the first trial has ended, take any run; its spec is what it writes last.
    runs = runs or [Run(path.parent) for path in islice(folder.runs_dir.glob("*/*/spec.yaml"), 1)]
    states = (str(leaks_of(run)) for run in runs if run.provenance_file.is_file())
    return ", ".join(dict.fromkeys(states)) or "unknown"


def advice(trials: Sequence[Trial], options: SweepOptions) -> list[str]:
    """Advice on the resources to request from the queue, from the resource use of the trials so far."""
    ends = [trial.end for trial in trials if trial.end and trial.end.get("memory_bytes")]
    if len(ends) < _FEW:
        return []
    memory = max(end["memory_bytes"] for end in ends) * options.per_gpu * _ROOM + _WORKER_BYTES
    longest = max(end["seconds"] for end in ends) * _ROOM
    lines = [f"set memory: {math.ceil(memory / 2**30)}GB and time: {_clock(longest)} or more"]
    if gpu := max(end.get("gpu_memory_bytes", 0) for end in ends) * options.per_gpu * _ROOM:
        lines.append(f"a GPU, or a slice of one, with {math.ceil(gpu / 2**30)} GB is enough")
    return lines


def _clock(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:00"


def _state(
    control: str,
    counts: Counter[str],
    num_trials: int | None,
    num_added: int,
    *,
    num_workers: int,
    silent: bool,
) -> str:
    left = counts["waiting"] + counts["running"]
    if control != "running":
        return control
    if num_trials is not None and num_added >= num_trials and not left:
        return "finished" if not counts["failed"] else "finished, some failed"
    if num_workers:
        return "running"
    return "unknown" if silent else "stalled"


def _next_step(state: str, folder: SweepFolder) -> list[str]:
    match state:
        case "stalled":
            return [f"trials are left, but no worker is running: vidcls sweep resume {folder.path}"]
        case "unknown":
            return [
                "it is not known whether workers are running; ask again on a node where the queue answers"
            ]
        case "paused" | "cancelled":
            return [f"to continue: vidcls sweep resume {folder.path}"]
        case "finished, some failed":
            return [f"to run the failed trials again: vidcls sweep retry {folder.path}"]
        case _:
            return []


def _worker_rows(
    reports: Sequence[Report], queued: SweepJobs, is_dead: Callable[[str], bool]
) -> list[WorkerRow]:
    by_name = {task.name: task for task in queued.tasks}
    rows = []
    for report in reports:
        if report.gone is not None:
            continue
        state = "dead" if report.job in queued.over or is_dead(report.id) else report.state
        # A requeued task has the same name as the task that died.
        task = by_name.pop(report.job, None) if report.job and state != "dead" else None
        name = report.job or f"{report.host}:{report.pid}"
        queue = f"{task.state} {task.reason}".strip() if task else ""
        rows.append(WorkerRow(name, report.host, state, queue, tuple(report.trials), report.seconds))
    waiting = [
        WorkerRow(task.name, task.host, "", f"{task.state} {task.reason}".strip(), (), 0.0)
        for task in by_name.values()
    ]
    # Living workers come first: in a long sweep, many workers have died.
    return sorted(rows, key=lambda row: row.state == "dead") + waiting


def _eta_s(trials: Sequence[Trial], num_trials: int | None, num_busy: int) -> float | None:
    """Remaining seconds: mean duration of a finished trial, times trials left, divided by busy workers."""
    took = [float(trial.end["seconds"]) for trial in trials if trial.state == "finished" and trial.end]
    if num_trials is None or not took or not num_busy:
        return None
    ended = sum(trial.state in ("finished", "stopped", "failed", "paused") for trial in trials)
    return (num_trials - ended) * sum(took) / len(took) / num_busy


def as_json(overview: Overview, *, everything: bool = False) -> dict[str, Any]:
    """Overview as JSON for scripts; with `everything`, it lists every trial."""

    def brief(trial: Trial) -> dict[str, Any]:
        end = trial.end or {}
        return {
            "trial": trial.number,
            "state": trial.state,
            "value": trial.value,
            "epoch": trial.epoch,
            "seed": trial.seed,
            "point": dict(trial.point),
            "run": str(overview.folder / end["run"]) if end.get("run") else None,
            "reason": end.get("message", ""),
        }

    return {
        "name": overview.name,
        "folder": str(overview.folder),
        "state": overview.state,
        "metric": overview.metric,
        "goal": overview.goal,
        "leak_state": overview.leak_state,
        "num_trials": overview.num_trials,
        "counts": overview.counts,
        "best": [brief(trial) for trial in overview.best],
        "running": [brief(trial) for trial in overview.running],
        "failed": [brief(trial) for trial in overview.failed],
        **({"trials": [brief(trial) for trial in overview.trials]} if everything else {}),
        "workers": [vars(row) | {"trials": list(row.trials)} for row in overview.workers],
        "eta_s": overview.eta_s,
        "gpu_hours": overview.gpu_hours,
        "worker_hours": overview.worker_hours,
        "advice": list(overview.advice),
        "notes": list(overview.notes),
        "time": time.time(),
    }
