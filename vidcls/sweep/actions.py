"""Actions of the user on an existing sweep; each writes a file in its folder or calls the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from vidcls.errors import UserError, VidclsError
from vidcls.launch.queue import AnyProfile
from vidcls.launch.submissions import SubmissionState
from vidcls.spec.experiment import Spec
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.search.build import race_of, searcher_of
from vidcls.sweep.search.rungs import Rungs
from vidcls.sweep.search.scheduler import planned_trials
from vidcls.sweep.space.space import overrides
from vidcls.sweep.status import leak_state_of
from vidcls.sweep.storage.folder import SWEEPS, SweepFolder
from vidcls.sweep.storage.jobs import SweepJobs, queued_of, worker_job
from vidcls.sweep.storage.retention import best_so_far
from vidcls.sweep.storage.trials import Trial
from vidcls.sweep.storage.worker_heartbeat import LivenessMonitor, Workers

LOOK_EVERY_S = 1.0


def live_workers(folder: SweepFolder, queued: SweepJobs) -> list[str]:
    """Workers that have not left and are not known to be dead, from this machine or from their queue."""
    liveness = _liveness(folder)
    reports = [report for report in Workers(folder.storage).refresh() if report.job not in queued.over]
    return [report.id for report in reports if not liveness.is_dead(report.id)]


def has_work(folder: SweepFolder) -> bool:
    """Whether a worker would find a trial to train."""
    sweep, trials = load_sweep(folder.sweep_file), folder.trials().refresh()
    space = searcher_of(folder).num_configurations
    extra = folder.control().current().extra_trials
    most = planned_trials(sweep, folder.options(), space, extra)
    if most is None or len(trials) < most or any(t.state in ("waiting", "running") for t in trials):
        return True
    if not folder.options().asha:
        return False
    rungs = Rungs.of(sweep, num_epochs=folder.base().train.epochs)
    return rungs.next_promotion(trials) is not None


def refuse_missing_videos(folder: SweepFolder) -> None:
    """Refuse to continue a sweep whose videos are no longer at their path, unless each trial sets the path.

    Raises:
        UserError: If the videos are missing.
    """
    data = folder.base().data
    root = Path(data.root)
    if (
        data.target is None
        and "data.root" not in load_sweep(folder.sweep_file).space.names
        and not root.exists()
    ):
        raise UserError(
            f"{root}: the videos of the sweep are not here",
            hint=f"set data.root in {folder.base_file} to their folder; or add --no-check if only the "
            "compute nodes can read them",
        )


def resume(
    folder: SweepFolder,
    *,
    profile: AnyProfile | None,
    num_workers: int | None,
    say: Callable[[str], None] = lambda _: None,
) -> str | None:
    """Continue a sweep, and submit new workers if fewer are left than were requested.

    Args:
        folder: Folder of the sweep.
        profile: Resources of one task; None takes those of the last submission.
        num_workers: Number of tasks that should exist; None takes that of the last submission.
        say: Receives a message about each wait.

    Returns:
        Job id that the queue gave to the new job; None if enough workers are alive.

    Raises:
        QueueSilentError: If the number of workers cannot be found out; nothing was submitted.
        VidclsError: If another process is submitting at this moment, or the queue refuses the job.
    """
    submissions = folder.submissions()
    with submissions.claim(what=str(folder.path), say=say):
        before = submissions.all()
        if not before and (profile is None or num_workers is None):
            raise UserError(f"{folder.path}: nothing was submitted yet", hint="give --workers and --cluster")
        queued = queued_of(submissions.look_and_settle())
        queued.refuse_silence(undone="nothing was submitted")
        if folder.control().current().state != "running":
            folder.control().say("resume")
        wanted = num_workers or before[-1].num_workers
        # An ending task is not counted: on a faulty node it may need minutes to end.
        present = [task for task in queued.tasks if task.state != "ending"]
        missing = wanted - max(len(present), len(live_workers(folder, queued)))
        if missing <= 0:
            return None
        profile = profile or before[-1].profile
        job = worker_job(folder, profile, name=load_sweep(folder.sweep_file).name, num_workers=missing)
        return submissions.submit(job, profile, num_workers=wanted)


def retry(folder: SweepFolder, numbers: Sequence[int]) -> list[int]:
    """Allow failed trials to be trained again.

    Args:
        folder: Folder of the sweep.
        numbers: Trial numbers; empty for all failed trials.

    Returns:
        Numbers of the trials that will be trained again.

    Raises:
        UserError: If one of the given trials did not fail, or if the sweep is a race that is over.
    """
    race = race_of(folder)
    if race is not None and race.is_over:
        raise UserError(
            f"{folder.path}: the race is over, so a trial that is trained again would change nothing",
            hint=f"vidcls race {folder.path} shows the verdict",
        )
    trials = folder.trials()
    by_number = {trial.number: trial for trial in trials.refresh()}
    for number in numbers:
        if number not in by_number or by_number[number].state != "failed":
            state = by_number[number].state if number in by_number else "unknown"
            raise UserError(f"trial {number} is {state}", hint=f"vidcls sweep status {folder.path}")
    failed = [number for number, trial in by_number.items() if trial.state == "failed" and not trial.damage]
    chosen = numbers or failed
    return [number for number in chosen if trials.retry(by_number[number])]


def extend(folder: SweepFolder, *, trials: int, hours: float, gpu_hours: float) -> list[str]:
    """Raise the limits (trials, hours, GPU hours) of a sweep.

    Returns:
        Notes for the user about the change.

    Raises:
        UserError: If the sweep does not have the limit.
    """
    sweep, options = load_sweep(folder.sweep_file), folder.options()
    for amount, has, name in (
        (trials, sweep.run_cap is not None, "run_cap"),
        (hours, options.until is not None, "--max-hours or --until"),
        (gpu_hours, options.gpu_hours is not None, "--gpu-hours"),
    ):
        if amount and not has:
            raise UserError(f"{folder.path}: cannot be extended, because it was launched without {name}")
    folder.control().say("extend", trials=trials, hours=hours, gpu_hours=gpu_hours)
    points = sweep.space.num_points * options.repeats if sweep.space.num_points else None
    asked = (sweep.run_cap or 0) + folder.control().current().extra_trials
    if sweep.method == "grid" and points is not None and asked > points:
        return [f"the grid has only {points} trials"]
    return []


def stop(folder: SweepFolder, *, kind: str, wait_s: float, say: Callable[[str], None]) -> bool:
    """Make all workers save and exit: `pause`, or `cancel`, which also removes waiting tasks from the queue.

    Returns:
        Whether all workers have exited.
    """
    if kind == "pause":
        folder.control().say("pause")
        return _wait_for_workers(folder, wait_s, say)
    folder.control().say("cancel")
    left = _wait_for_workers(folder, wait_s, say)
    for seen in folder.submissions().look():
        _take_out(seen, all_of_it=not left, say=say)
    return left


def _take_out(seen: SubmissionState, *, all_of_it: bool, say: Callable[[str], None]) -> None:
    """Cancel the waiting tasks of a job, and with `all_of_it` also the running tasks that did not exit."""
    later = "its waiting tasks will stop as soon as they start"
    if seen.silent is not None:
        say(f"{seen.label}: the queue does not answer ({seen.silent}); {later}")
    elif seen.job and any(task.state == "pending" or all_of_it for task in seen.tasks):
        try:
            seen.submission.queue.cancel([seen.job])
        except VidclsError as error:
            say(f"{seen.label}: {error.message}; {later}")


def _wait_for_workers(folder: SweepFolder, wait_s: float, say: Callable[[str], None]) -> bool:
    until = time.monotonic() + wait_s
    told = -1
    liveness, workers = _liveness(folder), Workers(folder.storage)
    while alive := [report for report in workers.refresh() if not liveness.is_dead(report.id)]:
        if len(alive) != told:
            told = len(alive)
            say(f"{told} workers are saving")
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


@dataclass(frozen=True)
class Winner:
    """Best configuration of a sweep.

    Attributes:
        spec: Experiment of the configuration, with its own name.
        value: Mean of the metric over the repeats.
        trials: Repeats of the configuration, best first.
        leak_state: Leak state of the training data of these trials.
        paused_at: Epoch of the rung at which its trials are paused, if no trial is finished; else None.
    """

    spec: Spec
    value: float
    trials: tuple[Trial, ...]
    leak_state: str
    paused_at: int | None


def winner(folder: SweepFolder) -> Winner:
    """Find the configuration with the best mean over its finished repeats.

    If ASHA has paused all trials at their rungs and none is finished, take the best of the highest rung.

    Raises:
        UserError: If no trial is finished or paused yet.
    """
    if folder.options().looks:
        raise UserError(
            f"{folder.path}: a race, whose verdict names the best", hint=f"vidcls race {folder.path}"
        )
    sweep = load_sweep(folder.sweep_file)
    goal = sweep.objective.goal
    leading = best_so_far(folder.trials().refresh(), goal=goal)
    if not leading:
        raise UserError(f"{folder.path}: no trial is finished yet", hint=f"vidcls sweep status {folder.path}")
    groups: dict[int, list[Trial]] = {}
    for trial in leading:
        groups.setdefault(trial.configuration, []).append(trial)
    # A configuration with unfinished repeats could win by one lucky repeat, so it is not considered.
    most = max(map(len, groups.values()))
    sign = -1.0 if goal == "maximize" else 1.0
    full = [group for group in groups.values() if len(group) == most]
    group = min(full, key=lambda group: (sign * _mean(group), group[0].number))
    spec = folder.base(*overrides(dict(group[0].point)), f"seed={group[0].seed}")
    home = folder.path.parent
    runs_dir = home.parent if home.name == SWEEPS else Path("runs")
    named = {
        "name": f"{sweep.slug}_best",
        "runs_dir": _short(runs_dir),
        "store_dir": _short(Path(spec.store_dir)),
    }
    data = spec.data.with_root(_short(Path(spec.data.root)))
    tracking = spec.tracking.model_copy(update={"group": None, "artifact": True})
    spec = spec.model_copy(update={**named, "data": data, "tracking": tracking})
    paused_at = group[0].epoch if group[0].state == "paused" else None
    return Winner(spec, _mean(group), tuple(group), leak_state_of(folder, group), paused_at)


def _mean(group: Sequence[Trial]) -> float:
    return fmean(trial.value for trial in group if trial.value is not None)


def _short(path: Path) -> str:
    """Path relative to the working folder if it lies below it, since the file may go into a repository."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _liveness(folder: SweepFolder) -> LivenessMonitor:
    return LivenessMonitor(folder.storage, lease_s=folder.options().lease_s)
