"""`vidcls sweep check`, `launch`, `work`, `ls`: check and launch sweeps, run workers, list sweeps."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcls.cli.common import AsJson, echo, emit, print_json, refuse_missing, say, shown, split_args
from vidcls.cli.queue.preflight import NoCheck, look_before_queueing, require_all
from vidcls.cli.queue.queued import warn_of_keys
from vidcls.cli.sweep.options import (
    Asha,
    Attempts,
    GpuHours,
    Keep,
    LaunchCluster,
    LaunchWorkers,
    LeaseS,
    MaxHours,
    OnlyScript,
    PerGpu,
    Repeats,
    Seed,
    Until,
)

if TYPE_CHECKING:
    from vidcls.launch.queue import AnyProfile
    from vidcls.sweep.plan import LaunchPlan
    from vidcls.sweep.storage.folder import SweepFolder, SweepOptions

FileArgs = Annotated[
    list[str],
    typer.Argument(metavar="FILE [KEY=VALUE]...", help="Sweep file, and overrides for all trials."),
]
EngineArg = Annotated[str, typer.Option(help="serverless: the workers search; wandb: W&B's server does.")]


def _one_file(args: list[str]) -> tuple[Path, tuple[str, ...]]:
    from vidcls.errors import UserError

    files, overrides = split_args(args)
    if len(files) != 1:
        named = ", ".join(map(str, files)) or "none"
        raise UserError(f"expected one sweep file, got {named}", hint="for example sweeps/late_fusion.yaml")
    return files[0], tuple(overrides)


def check(
    args: FileArgs,
    repeats: Repeats = 1,
    as_json: AsJson = False,
) -> None:
    """Check a sweep file; show its number of trials and, once a trial has finished, the hours it needs."""
    from vidcls.sweep.config.check import check_against_spec
    from vidcls.sweep.config.description import describe
    from vidcls.sweep.config.file import load_sweep
    from vidcls.sweep.plan import folder_and_base, seconds_of_trial
    from vidcls.sweep.storage.folder import SweepOptions

    file, overrides = _one_file(args)
    sweep = load_sweep(file)
    check_against_spec(sweep)
    options = SweepOptions(repeats=repeats)
    folder, _, _ = folder_and_base(sweep, overrides, options)
    found = describe(sweep, repeats=repeats, trial_s=seconds_of_trial(folder))
    if as_json:
        print_json(vars(found) | {"notes": list(found.notes), "folder": str(folder.path)})
        return
    points = "a continuous space" if found.num_points is None else f"{found.num_points} points"
    trials = "trials until a budget ends them" if found.num_trials is None else f"{found.num_trials} trials"
    hours = f", {found.hours:.2f} hours one after the other" if found.hours is not None else ""
    echo(f"{file}: {sweep.method} over {', '.join(sweep.space.searched)}: {points}, {trials}{hours}")
    for note in found.notes:
        echo(f"  {note}")
    echo(f"next: vidcls sweep launch {file}")


def launch(
    args: FileArgs,
    cluster: LaunchCluster = None,
    workers: LaunchWorkers = None,
    engine: EngineArg = "serverless",
    seed: Seed = 0,
    asha: Asha = False,
    repeats: Repeats = 1,
    per_gpu: PerGpu = 1,
    keep: Keep = 3,
    attempts: Attempts = 3,
    max_hours: MaxHours = None,
    until: Until = None,
    gpu_hours: GpuHours = None,
    lease: LeaseS = 90.0,
    dry_run: OnlyScript = False,
    no_check: NoCheck = False,
    as_json: AsJson = False,
) -> None:
    """Launch a sweep and return at once. Given again, the command starts the workers that are missing.

    On a machine without a queue, the workers are processes that keep running after you log out.
    """
    from vidcls.launch.profiles import find_profile
    from vidcls.sweep.config.file import load_sweep
    from vidcls.sweep.plan import end_of, plan_launch
    from vidcls.sweep.storage.folder import SweepOptions

    file, overrides = _one_file(args)
    profile = find_profile(cluster)
    options = SweepOptions(
        seed=seed,
        asha=asha,
        repeats=repeats,
        per_gpu=per_gpu,
        keep=keep,
        attempts=attempts,
        until=end_of(until=until, max_hours=max_hours),
        gpu_hours=gpu_hours,
        lease_s=lease,
    )
    if engine != "serverless":
        _launch_wandb(
            file,
            overrides,
            options,
            profile=profile,
            workers=workers,
            dry_run=dry_run,
            engine=engine,
            no_check=no_check,
            as_json=as_json,
        )
        return
    plan = plan_launch(
        load_sweep(file), overrides=overrides, options=options, profile=profile, num_workers=workers
    )
    _launch(plan, overrides, dry_run=dry_run, no_check=no_check, as_json=as_json)


def _launch(
    plan: LaunchPlan, overrides: tuple[str, ...], *, dry_run: bool, no_check: bool, as_json: bool
) -> None:
    from vidcls.launch.profile import QueuedProfile
    from vidcls.sweep import actions
    from vidcls.sweep.launch import freeze, job_of

    for note in plan.notes:
        say(note)
    if dry_run:
        print_script(plan.queue.script(job_of(plan)), as_json=as_json)
        return
    if not no_check and isinstance(plan.profile, QueuedProfile):
        require_all()
        from vidcls.campaign.preflight.check import ask_for_sweep

        look_before_queueing(ask_for_sweep(plan, settings=overrides, job=job_of(plan)))
    elif not no_check and "data.root" not in plan.sweep.space.names:
        refuse_missing(plan.base.data)
    warn_of_keys(plan.profile)
    is_new = freeze(plan)
    if plan.folder.options() != plan.options:
        say("options stay as they were at the first launch; vidcls sweep extend raises the limits")
    has_more = actions.has_work(plan.folder)
    job = None
    if has_more:
        job = actions.resume(plan.folder, profile=plan.profile, num_workers=plan.num_workers, say=say)
    if as_json:
        print_json({"folder": str(plan.folder.path), "job": job, "workers": plan.num_workers, "new": is_new})
        return
    trials = "trials until a budget ends them" if plan.num_trials is None else f"{plan.num_trials} trials"
    if job:
        verb = "launched" if is_new else "was launched already and continues"
        echo(f"{plan.sweep.name} {verb}: {trials}, {plan.num_workers} workers, job {job}")
    else:
        state = "its workers are running or queued" if has_more else "no trials are left"
        echo(f"{plan.sweep.name} was launched already: {trials}; {state}, and nothing was submitted")
    echo(f"  {plan.folder.path}")
    echo(f"next: vidcls sweep status {shown(plan.folder.path)}{' --watch' if has_more else ''}")


def print_script(script: str, *, as_json: bool) -> None:
    """Print the script of a job."""
    if as_json:
        print_json({"script": script})
    else:
        emit(script)


def _launch_wandb(
    file: Path,
    overrides: tuple[str, ...],
    options: SweepOptions,
    *,
    profile: AnyProfile,
    workers: int | None,
    dry_run: bool,
    engine: str,
    no_check: bool,
    as_json: bool,
) -> None:
    from vidcls.errors import UserError
    from vidcls.launch.profile import QueuedProfile
    from vidcls.sweep.wandb_launch import launch_wandb

    if engine != "wandb":
        raise UserError(f"--engine {engine}: unknown engine", hint="allowed: serverless or wandb")
    if not (dry_run or no_check) and isinstance(profile, QueuedProfile):
        require_all()
        from vidcls.campaign.preflight.check import ask_for_agents

        look_before_queueing(ask_for_agents(file, profile=profile))
    launched = launch_wandb(
        file, overrides=overrides, options=options, profile=profile, num_workers=workers, dry_run=dry_run
    )
    if launched.script is not None:
        print_script(launched.script, as_json=as_json)
        return
    if as_json:
        print_json({"sweep": launched.sweep, "job": launched.job, "workers": launched.num_workers})
        return
    echo(f"{launched.sweep}: {launched.num_workers} agents, job {launched.job}")
    for line in launched.next_steps:
        echo(f"next: {line}")


def work(
    folder: Annotated[Path, typer.Argument(help="Folder of the sweep.")],
    gpus: Annotated[int, typer.Option(min=0, help="Number of GPUs of the job.")] = 0,
    cpus: Annotated[int | None, typer.Option(min=1, help="Number of CPU cores of the job.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
) -> None:
    """Run one worker of a sweep. Jobs of `vidcls sweep launch` call this command."""
    from vidcls.sweep.storage.folder import SweepFolder
    from vidcls.sweep.worker.allocation import allocation_of
    from vidcls.sweep.worker.worker import SweepWorker

    sweep = SweepFolder.open(folder)
    allocation = allocation_of(num_gpus=gpus, num_cpus=cpus, device=device, per_gpu=sweep.options().per_gpu)
    worker_exit = SweepWorker(sweep, allocation, when_idle=partial(_take_looks, sweep)).run()
    echo(worker_exit.reason)
    raise SystemExit(int(worker_exit.exit_code))


def _take_looks(sweep: SweepFolder) -> bool:
    """Take a look of a race, if one is due; of any other sweep, there is none."""
    if not sweep.options().looks:
        return False
    from vidcls.campaign.race.look import take_looks

    return take_looks(sweep)


def ls(
    folder: Annotated[Path, typer.Argument(help="Folder of runs.")] = Path("runs"), as_json: AsJson = False
) -> None:
    """List the sweeps below a folder of runs."""
    from vidcls.sweep.storage.folder import find_sweeps

    rows: list[dict[str, Any]] = []
    for sweep in find_sweeps(folder):
        states = [trial.state for trial in sweep.trials().refresh()]
        rows.append({"folder": str(sweep.path), "trials": len(states), "finished": states.count("finished")})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        echo(f"{shown(Path(row['folder']))}  {row['finished']}/{row['trials']} trials finished")
    if not rows:
        echo(f"no sweeps below {folder}; vidcls sweep launch sweeps/late_fusion.yaml starts one")
