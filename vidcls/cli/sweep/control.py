"""`vidcls sweep retry`, `pause`, `resume`, `cancel`, `extend`: work from any login node, on the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vidcls.cli.common import AsJson, echo, print_json, say, shown
from vidcls.cli.queue.preflight import NoCheck
from vidcls.cli.sweep.state import RUNS, Sweep

if TYPE_CHECKING:
    from vidcls.launch.queue import AnyProfile
    from vidcls.sweep.storage.folder import SweepFolder

OtherCluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="PROFILE", help="Profile of the queue; default: the same as before."),
]
NumWorkers = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Number of workers; default: the same as before.")
]
Wait = Annotated[float, typer.Option(help="Seconds to wait until all workers have saved.")]


def retry(
    name: Sweep = RUNS,
    trials: Annotated[
        list[int] | None,
        typer.Option("--trial", help="Number of a trial; repeatable; default: all failed trials."),
    ] = None,
    cluster: OtherCluster = None,
    workers: NumWorkers = None,
    no_check: NoCheck = False,
    as_json: AsJson = False,
) -> None:
    """Run failed trials again, from their checkpoints."""
    from vidcls.sweep import actions
    from vidcls.sweep.find import find_sweep

    sweep = find_sweep(name)
    if not no_check:
        actions.refuse_missing_videos(sweep)
    numbers = actions.retry(sweep, trials or [])
    lines = [f"trials that run again: {', '.join(map(str, numbers))}" if numbers else "no trial has failed"]
    if not numbers:
        _tell(sweep, lines, {"trials": numbers, "job": None}, as_json=as_json)
        return
    _resume(sweep, cluster, workers, lines=lines, facts={"trials": numbers}, as_json=as_json)


def pause(name: Sweep = RUNS, wait: Wait = 120.0, as_json: AsJson = False) -> None:
    """Pause a sweep: all workers save and stop; waiting tasks stay queued, and stop when they start."""
    _stop(name, kind="pause", wait=wait, as_json=as_json)


def cancel(name: Sweep = RUNS, wait: Wait = 120.0, as_json: AsJson = False) -> None:
    """Stop a sweep: all workers save and stop, and waiting tasks leave the queue. Nothing is lost."""
    _stop(name, kind="cancel", wait=wait, as_json=as_json)


def _stop(name: str, *, kind: Literal["pause", "cancel"], wait: float, as_json: bool) -> None:
    from vidcls.errors import VidclsError
    from vidcls.sweep import actions
    from vidcls.sweep.find import find_sweep

    sweep = find_sweep(name)
    if not actions.stop(sweep, kind=kind, wait_s=wait, say=say):
        raise VidclsError(
            f"{sweep.path}: some workers are still saving", hint=f"vidcls sweep status {shown(sweep.path)}"
        )
    done = "paused" if kind == "pause" else "cancelled"
    lines = [f"{done}; every trial is saved. next: vidcls sweep resume {shown(sweep.path)}"]
    _tell(sweep, lines, {"state": done}, as_json=as_json)


def resume(
    name: Sweep = RUNS,
    cluster: OtherCluster = None,
    workers: NumWorkers = None,
    no_check: NoCheck = False,
    as_json: AsJson = False,
) -> None:
    """Continue a sweep, by default with as many workers as before."""
    from vidcls.sweep import actions
    from vidcls.sweep.find import find_sweep

    sweep = find_sweep(name)
    if not no_check and actions.has_work(sweep):
        actions.refuse_missing_videos(sweep)
    _resume(sweep, cluster, workers, as_json=as_json)


def extend(
    number: Annotated[int, typer.Argument(min=0, max=10**9, help="Number of trials to add to run_cap.")],
    name: Sweep = RUNS,
    hours: Annotated[
        float, typer.Option(min=0, max=10**6, help="Hours to add to --max-hours or --until.")
    ] = 0.0,
    gpu_hours: Annotated[
        float, typer.Option(min=0, max=10**9, help="GPU hours to add to --gpu-hours.")
    ] = 0.0,
    cluster: OtherCluster = None,
    workers: NumWorkers = None,
    no_check: NoCheck = False,
    as_json: AsJson = False,
) -> None:
    """Give a sweep more trials, hours or GPU hours, and start workers again if they have stopped."""
    from vidcls.errors import UserError
    from vidcls.sweep import actions
    from vidcls.sweep.find import find_sweep

    if not (number or hours or gpu_hours):
        raise UserError(
            "nothing to extend: the number of trials is 0, and no hours are given",
            hint="for example vidcls sweep extend 50",
        )
    sweep = find_sweep(name)
    if not no_check:
        actions.refuse_missing_videos(sweep)
    lines = actions.extend(sweep, trials=number, hours=hours, gpu_hours=gpu_hours)
    facts = {"notes": list(lines)}
    _resume(sweep, cluster, workers, lines=lines, facts=facts, as_json=as_json)


def _resume(
    sweep: SweepFolder,
    cluster: str | None,
    workers: int | None,
    *,
    as_json: bool,
    lines: list[str] | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Continue a sweep.

    Args:
        sweep: Folder of the sweep.
        cluster: Another profile; None keeps the profile.
        workers: Number of workers that should exist.
        as_json: Print JSON for scripts.
        lines: Lines to print before.
        facts: Values of these lines for JSON.
    """
    from vidcls.launch.profiles import find_profile
    from vidcls.sweep import actions

    before, known = lines or [], facts or {}
    if not actions.has_work(sweep):
        done = f"no trials are left; next: vidcls sweep best {shown(sweep.path)}"
        _tell(sweep, [*before, done], {**known, "job": None}, as_json=as_json)
        return
    profile = find_profile(cluster) if cluster else None
    if profile is not None:
        _refuse_what_the_queue_would(sweep, profile)
    job = actions.resume(sweep, profile=profile, num_workers=workers, say=say)
    now = f"job {job}" if job else "enough workers are running or queued"
    then = f"next: vidcls sweep status {shown(sweep.path)} --watch"
    _tell(sweep, [*before, now, then], {**known, "job": job}, as_json=as_json)


def _tell(sweep: SweepFolder, lines: list[str], facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(sweep.path), **facts})
        return
    for line in lines:
        echo(line)


def _refuse_what_the_queue_would(folder: SweepFolder, profile: AnyProfile) -> None:
    """Check whether the queue accepts a worker, since the profile may differ from that of the launch."""
    from vidcls.campaign.preflight.check import check_sweep_job
    from vidcls.cli.queue.preflight import refuse_errors
    from vidcls.launch.profile import QueuedProfile

    if isinstance(profile, QueuedProfile):
        refuse_errors(check_sweep_job(folder, profile))


COMMANDS = (retry, pause, resume, cancel, extend)
