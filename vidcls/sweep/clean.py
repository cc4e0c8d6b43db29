"""Removes the checkpoints of a sweep that are no longer needed, or the whole sweep."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from vidcls.errors import UserError, VidclsError
from vidcls.run.find import find_runs
from vidcls.sweep.actions import LOOK_EVERY_S, has_work
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.jobs import SweepJobs, ask_queues
from vidcls.sweep.storage.retention import best_configurations, rule
from vidcls.sweep.storage.worker_heartbeat import LivenessMonitor, Workers


def clean(folder: SweepFolder, *, keep: int, say: Callable[[str], None]) -> int:
    """Remove the checkpoints of all trials except the best configurations; results and logs stay.

    While trials are left to be trained, only the checkpoints of ended trials are removed: the other trials
    resume from their checkpoints.

    Returns:
        Number of bytes that were freed.

    Raises:
        UserError: If workers are alive, because they need the checkpoints.
        VidclsError: If a run whose weights must be kept is missing; nothing is removed then.
    """
    _refuse_while_alive(folder, say)
    trials, goal = folder.trials().refresh(), load_sweep(folder.sweep_file).objective.goal
    kept = set()
    for group in best_configurations(trials, goal=goal, repeats=folder.options().repeats)[:keep]:
        for trial in group:
            run = folder.run_of(trial)
            if run is None or not run.spec_file.is_file():
                where = run.folder if run else folder.runs_dir
                raise VidclsError(
                    f"{where}: the run of trial {trial.number}, which has one of the best {keep} "
                    "configurations, is missing; nothing was removed",
                    hint="restore this run, or give --keep 0 to remove the weights of all trials",
                )
            kept.add(run.folder.resolve())
    found = find_runs(folder.runs_dir)
    if has_work(folder):
        over = (folder.run_of(trial) for trial in trials if trial.state in ("finished", "stopped"))
        found = [run for run in dict.fromkeys(over) if run is not None]
    return sum(run.remove_checkpoints(why=rule(keep)) for run in found if run.folder.resolve() not in kept)


def remove(folder: SweepFolder, *, say: Callable[[str], None]) -> None:
    """Remove a sweep with all its runs, and the symbolic link if the sweep was given by one.

    Raises:
        UserError: If workers are alive.
    """
    _refuse_while_alive(folder, say)
    shutil.rmtree(folder.path.resolve())
    if folder.path.is_symlink():
        folder.path.unlink()


def _refuse_while_alive(folder: SweepFolder, say: Callable[[str], None]) -> None:
    """Refuse while workers need the files: living workers, and queued workers while trials are left."""
    queued, has_more = ask_queues(folder), has_work(folder)
    alive = _known_alive(folder, queued, say)
    waiting = [task for task in queued.tasks if task.state == "pending"] if has_more else []
    if alive or waiting:
        raise UserError(
            f"{folder.path}: {len(alive)} workers are alive, {len(waiting)} tasks wait in the queue",
            hint=f"vidcls sweep cancel {folder.path}",
        )
    # After a cancel, a worker that still starts exits at once.
    if has_more and folder.control().current().state != "cancelled":
        queued.refuse_silence(undone="nothing was removed")


def _known_alive(folder: SweepFolder, queued: SweepJobs, say: Callable[[str], None]) -> list[str]:
    """Workers known to be alive; if it is unclear whether a worker is alive, wait for one lease.

    It is unclear for a worker on another machine, or a worker of the sweep that this one is a copy of.
    """
    liveness = LivenessMonitor(folder.storage, lease_s=folder.options().lease_s)
    workers = Workers(folder.storage)
    seconds = {report.id: report.seconds for report in workers.refresh()}
    told = False
    while alive := [r for r in workers.refresh() if r.job not in queued.over and not liveness.is_dead(r.id)]:
        if any(report.seconds != seconds.get(report.id) for report in alive):
            break
        if not told:
            told = True
            say(
                f"waiting up to {liveness.lease_s:.0f} s for a sign of life from"
                f" {', '.join(r.id for r in alive)}"
            )
        time.sleep(LOOK_EVERY_S)
    return [report.id for report in alive]
