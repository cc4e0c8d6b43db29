"""`vidcls race`: spends seeds only on experiments that may still be the best, until the verdict is clear."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, console, echo, print_json, refuse_missing_data, say, shown, split_args
from vidcls.cli.queue.preflight import NoCheck, look_before_queueing, require_all
from vidcls.cli.queue.queued import warn_of_keys
from vidcls.cli.sweep.launch import print_script
from vidcls.cli.sweep.options import (
    Attempts,
    GpuHours,
    LaunchCluster,
    LaunchWorkers,
    LeaseS,
    MaxHours,
    MaxSeeds,
    NoWeights,
    OnlyScript,
    PerGpu,
    Until,
    UntilOver,
)
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.campaign.race.plan import RacePlan
    from vidcls.campaign.race.standing import Standing
    from vidcls.sweep.storage.folder import SweepFolder

RaceArgs = Annotated[
    list[str],
    typer.Argument(
        metavar="SPEC SPEC... [KEY=VALUE]...",
        help="Spec files, and overrides for all of them; or the folder or name of a race, to show it.",
    ),
]
_KEEP_ALL = 10**6
_EVERY_S = 2.0


_FOR_ANY = ("args", "wait", "as_json")
"""Parameters that have an effect on a race that was launched before."""


def race(
    ctx: typer.Context,
    args: RaceArgs,
    max_seeds: MaxSeeds = 10,
    cluster: LaunchCluster = None,
    workers: LaunchWorkers = None,
    per_gpu: PerGpu = 1,
    attempts: Attempts = 3,
    max_hours: MaxHours = None,
    until: Until = None,
    gpu_hours: GpuHours = None,
    lease: LeaseS = 90.0,
    no_weights: NoWeights = False,
    wait: UntilOver = False,
    dry_run: OnlyScript = False,
    no_check: NoCheck = False,
    as_json: AsJson = False,
) -> None:
    """Find the best of several experiments, with more seeds only for those that may still be the best.

    After 2, 3, 5, 8 and 10 seeds each, all pairs are compared on the val videos, as in `vidcls compare`; who
    is clearly worse than another one is out. The race ends when one is left, or after the last seed. The
    chance of any wrong verdict is at most 5 % over all these looks and pairs together. Another race of the
    same experiments, such as one with more seeds, spends 5 % of its own.

    The last epoch is scored: the best epoch was chosen on the val videos, which makes its result too good.

    The command starts workers and returns. Given again, it starts the workers that are missing and shows
    where the race stands. `vidcls sweep status`, `pause`, `resume`, `cancel`, `retry` and `extend` take the
    folder of a race too. A contender whose training failed is out until a retry succeeds. Weights of
    contenders that are out for good are removed, their logits stay.
    """
    from vidcls.campaign.race.plan import plan_race
    from vidcls.launch.profiles import find_profile
    from vidcls.sweep.find import find_sweep
    from vidcls.sweep.plan import end_of
    from vidcls.sweep.storage.folder import SweepOptions

    files, overrides = split_args(args)
    if len(files) == 1 and files[0].suffix not in (".yaml", ".yml"):
        _refuse_without_specs(ctx, overrides)
        _show(find_sweep(str(files[0])), job=None, wait=wait, as_json=as_json)
        return
    options = SweepOptions(
        per_gpu=per_gpu,
        attempts=attempts,
        keep=0 if no_weights else _KEEP_ALL,
        until=end_of(until=until, max_hours=max_hours),
        gpu_hours=gpu_hours,
        lease_s=lease,
    )
    profile = find_profile(cluster)
    plan = plan_race(
        files, overrides, options=options, max_seeds=max_seeds, profile=profile, num_workers=workers
    )
    if dry_run:
        _print_script(plan, as_json=as_json)
        return
    job = _launch(plan, no_check=no_check)
    _show(plan.launch.folder, job=job, wait=wait, as_json=as_json)


def _refuse_without_specs(ctx: typer.Context, overrides: Sequence[str]) -> None:
    """Refuse what only specs can be given: a race that is named by its folder is shown."""
    source = {one.name: ctx.get_parameter_source(str(one.name)) for one in ctx.command.params}
    given = [
        max(one.opts, key=len)
        for one in ctx.command.params
        if one.name not in _FOR_ANY and getattr(source[one.name], "name", "") == "COMMANDLINE"
    ]
    for text in [*overrides, *given]:
        raise UserError(
            f"{text}: has no effect on a race that was launched before",
            hint="give the spec files again",
        )


def _print_script(plan: RacePlan, *, as_json: bool) -> None:
    from vidcls.sweep.launch import job_of

    print_script(plan.launch.queue.script(job_of(plan.launch)), as_json=as_json)


def _launch(plan: RacePlan, *, no_check: bool) -> str | None:
    """Freeze the race unless it was launched before, and start missing workers; return their job."""
    from vidcls.campaign.race.look import take_looks
    from vidcls.sweep import actions
    from vidcls.sweep.launch import freeze

    launch = plan.launch
    for note in launch.notes:
        say(note)
    if not no_check:
        _check(plan)
    warn_of_keys(launch.profile)
    freeze(launch)
    if launch.folder.options() != launch.options:
        say("options stay as they were at the first launch; vidcls sweep extend raises the limits")
    take_looks(launch.folder)
    if not actions.has_work(launch.folder):
        return None
    return actions.resume(launch.folder, profile=launch.profile, num_workers=launch.num_workers, say=say)


def _check(plan: RacePlan) -> None:
    from vidcls.campaign.race.plan import refuse_other_data
    from vidcls.launch.profile import QueuedProfile

    launch = plan.launch
    is_queued = isinstance(launch.profile, QueuedProfile)
    for loaded in plan.loaded.values():
        refuse_missing_data(loaded)
    if is_queued:
        require_all()
    refuse_other_data(plan)
    if is_queued:
        from vidcls.campaign.preflight.check import ask_for_race
        from vidcls.sweep.launch import job_of

        look_before_queueing(ask_for_race(launch, plan.loaded, job=job_of(launch)))


def _show(folder: SweepFolder, *, job: str | None, wait: bool, as_json: bool) -> None:
    from vidcls.campaign.race.look import take_looks
    from vidcls.campaign.race.standing import as_json as plain
    from vidcls.campaign.race.standing import standing_of

    take_looks(folder)
    standing = standing_of(folder)
    # Between its last training and its look a race has workers, but no running trial.
    while (
        wait and not standing.is_over and (standing.state in ("running", "unknown") or standing.num_workers)
    ):
        time.sleep(_EVERY_S)
        take_looks(folder)
        standing = standing_of(folder)
    if as_json:
        print_json({**plain(standing), "job": job})
        return
    _render(standing, job=job)


def _render(standing: Standing, *, job: str | None) -> None:
    from rich import box

    from vidcls.cli.output.screen import Table, styled
    from vidcls.study.intervals import reach

    screen, overview = console(), standing.overview
    screen.print(styled(standing.verdict, "bold"), soft_wrap=True)
    table = Table("contender", box=box.SIMPLE_HEAD)
    for name in ("seeds", "val top-1", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for one in standing.contenders:
        cells = ["", ""]
        if one.top1 is not None:
            cells = [f"{one.top1:.1%}", reach(one.low, one.high)]
        table.add_row(one.name, str(one.num_seeds or one.num_trained), *cells, one.state)
    screen.print(table)
    counts = ", ".join(f"{number} {state}" for state, number in overview.counts.items())
    most = f" of at most {overview.num_trials}" if not standing.is_over else ""
    echo(f"{standing.state}: {len(overview.trials)} trainings{most} ({counts or 'none yet'})")
    if job:
        echo(f"started: job {job}")
    for note in standing.notes:
        say(note)
    echo(f"  {shown(overview.folder)}")
    if not standing.is_over:
        echo(f"next: vidcls race {shown(overview.folder)} --wait")
        return
    for one in standing.contenders:
        if one.state in ("best", "not told apart"):
            echo(f"{one.name}: {shown(Path(one.file))}")
