"""`vidcls sweep status`, `retry`, `pause`, ...: from any login node, by nothing but the folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, Force, console, echo, print_json, refuse_overwrite, say, shown
from vidcls.text import printable

if TYPE_CHECKING:
    from vidcls.launch.profile import AnyProfile
    from vidcls.sweep.folder import SweepFolder

Folder = Annotated[Path, typer.Argument(help="Folder of the sweep, or of runs that hold one sweep.")]
Cluster = Annotated[
    str | None, typer.Option("--cluster", metavar="PROFILE", help="Instead of that of before.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Tasks there should be; as before if unset.")
]
Wait = Annotated[float, typer.Option(help="Seconds to wait for workers to save.")]
_RUNS = Path("runs")
_EVERY_S = 2.0


def status(
    folder: Folder = _RUNS,
    watch: Annotated[bool, typer.Option("--watch", help="Show it live until it is over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show trials by state, the best so far, workers, what is left, what it cost.

    Exit codes: 0, or 3 where trials failed for good.
    """
    from vidcls.cli.sweep_table import render
    from vidcls.errors import ExitCode
    from vidcls.sweep.folder import SweepFolder
    from vidcls.sweep.status import Observer
    from vidcls.sweep.status import as_json as plain

    observer = Observer(SweepFolder.open(folder))
    overview = observer.look()
    if as_json:
        print_json(plain(overview))
    elif not watch:
        console().print(render(overview))
    else:
        from rich.live import Live

        with Live(render(overview), console=console(), auto_refresh=False) as live:
            while overview.state == "running":
                time.sleep(_EVERY_S)
                overview = observer.look()
                live.update(render(overview), refresh=True)
    if overview.failed:
        raise SystemExit(int(ExitCode.PARTLY_DONE))


def retry(
    folder: Folder = _RUNS,
    trials: Annotated[
        list[int] | None, typer.Option("--trial", help="Number; all that failed if unset.")
    ] = None,
    cluster: Cluster = None,
    workers: Workers = None,
) -> None:
    """Try failed trials again, from their checkpoints."""
    from vidcls.sweep import actions
    from vidcls.sweep.folder import SweepFolder

    sweep = SweepFolder.open(folder)
    numbers = actions.retry(sweep, trials or [])
    if not numbers:
        echo("no trial has failed")
        return
    echo(f"tried again: {', '.join(map(str, numbers))}")
    _resume(sweep.path, cluster, workers)


def pause(folder: Folder = _RUNS, wait: Wait = 120.0) -> None:
    """Have every worker save and leave; what waits in the queue leaves as soon as it starts."""
    _stop(folder, kind="pause", wait=wait)


def cancel(folder: Folder = _RUNS, wait: Wait = 120.0) -> None:
    """Have every worker save and leave, and take what waits out of the queue. Loses nothing."""
    _stop(folder, kind="cancel", wait=wait)


def _stop(folder: Path, *, kind: str, wait: float) -> None:
    from vidcls.errors import VidclsError
    from vidcls.sweep import actions
    from vidcls.sweep.folder import SweepFolder

    sweep = SweepFolder.open(folder)
    if not actions.stop(sweep, kind=kind, wait_s=wait, say=say):
        raise VidclsError(
            f"{sweep.path}: some workers are still saving", hint=f"vidcls sweep status {shown(sweep.path)}"
        )
    done = "paused" if kind == "pause" else "cancelled"
    echo(f"{done}; every trial is saved. next: vidcls sweep resume {shown(sweep.path)}")


def resume(folder: Folder = _RUNS, cluster: Cluster = None, workers: Workers = None) -> None:
    """Let a sweep go on, with as many workers as before."""
    from vidcls.sweep.folder import SweepFolder

    _resume(SweepFolder.open(folder).path, cluster, workers)


def _resume(path: Path, cluster: str | None, workers: int | None) -> None:
    from vidcls.launch.profiles import find_profile
    from vidcls.sweep import actions
    from vidcls.sweep.folder import SweepFolder

    if not actions.has_work(SweepFolder(path)):
        echo(f"nothing is left to do; next: vidcls sweep best {shown(path)}")
        return
    profile = find_profile(cluster) if cluster else None
    if profile is not None:
        _refuse_what_the_queue_would(SweepFolder(path), profile)
    job = actions.resume(SweepFolder(path), profile=profile, num_workers=workers)
    echo(f"job {job}" if job else "enough workers are there")
    echo(f"next: vidcls sweep status {shown(path)} --watch")


def _refuse_what_the_queue_would(folder: SweepFolder, profile: AnyProfile) -> None:
    """The trials were looked at when the sweep was launched; the profile may be another one."""
    from vidcls.campaign.preflight.check import check_sweep_job
    from vidcls.cli.check import refuse_errors
    from vidcls.launch.profile import QueuedProfile

    if isinstance(profile, QueuedProfile):
        refuse_errors(check_sweep_job(folder, profile))


def extend(
    number: Annotated[int, typer.Argument(min=0, max=10**9, help="Trials beyond run_cap.")],
    folder: Folder = _RUNS,
    hours: Annotated[float, typer.Option(min=0, max=10**6, help="Beyond --max-hours or --until.")] = 0.0,
    gpu_hours: Annotated[float, typer.Option(min=0, max=10**9, help="Beyond --gpu-hours.")] = 0.0,
    cluster: Cluster = None,
    workers: Workers = None,
) -> None:
    """Give a sweep more trials, hours or GPU hours, and workers where they left."""
    from vidcls.errors import UserError
    from vidcls.sweep import actions
    from vidcls.sweep.folder import SweepFolder

    if not (number or hours or gpu_hours):
        raise UserError("extend by nothing", hint="vidcls sweep extend 50")
    sweep = SweepFolder.open(folder)
    for line in actions.extend(sweep, trials=number, hours=hours, gpu_hours=gpu_hours):
        echo(line)
    _resume(sweep.path, cluster, workers)


def best(
    folder: Folder = _RUNS,
    out: Annotated[Path | None, typer.Option(help="File; experiments/SWEEP_best.yaml if unset.")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the winning configuration as an experiment file."""
    from vidcls.files import write_text
    from vidcls.spec.show import to_yaml
    from vidcls.sweep import actions
    from vidcls.sweep.file import load_sweep
    from vidcls.sweep.folder import SweepFolder

    sweep = SweepFolder.open(folder)
    winner = actions.winner(sweep)
    search = load_sweep(sweep.sweep_file)
    metric = search.objective.name
    path = out or Path("experiments") / f"{search.slug}_best.yaml"
    first = winner.trials[0]
    runs = [str(run.folder) for trial in winner.trials if (run := sweep.run_of(trial)) is not None]
    seeds = f"over {len(winner.trials)} seed(s)"
    leaks = f"leak state: {winner.leak_state}"
    told = "" if winner.paused_at is None else f", after {winner.paused_at} epochs: paused at that rung"
    head = f"# {metric} {winner.value:.4f} {seeds}, {leaks}; trial {first.number} of {search.name}{told}.\n"
    content = head + to_yaml(winner.spec)
    refuse_overwrite(path, option="--out", force=force, content=content)
    write_text(path, content)
    if as_json:
        point = dict(first.point)
        found = {"metric": metric, "value": winner.value, "leak_state": winner.leak_state}
        found |= {"trial": first.number, "paused_at": winner.paused_at}
        print_json({"file": str(path), **found, "point": point, "runs": runs})
        return
    echo(f"{path}: {metric} {winner.value:.4f}, mean of {len(winner.trials)} seed(s), {leaks}")
    if winner.paused_at is not None:
        echo(
            f"  no trial is finished: trial {first.number} is the best that waits, {told.removeprefix(', ')}"
        )
    for path_of_run in runs:
        echo(f"  trained as {shown(Path(path_of_run))}")
    echo(f"next: vidcls train {path}")


def clean(
    folder: Folder = _RUNS,
    keep: Annotated[int | None, typer.Option(min=0, help="Weights to keep; as at launch if unset.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove the sweep with all its runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the checkpoints of all trials but the best; what was measured stays."""
    from vidcls.sweep import actions
    from vidcls.sweep.folder import SweepFolder

    sweep = SweepFolder.open(folder)
    if everything:
        if not yes:
            typer.confirm(f"remove {printable(sweep.path.resolve())} with all its runs?", abort=True)
        actions.remove(sweep, say=say)
        echo(f"removed {sweep.path}")
        return
    freed = actions.clean(sweep, keep=sweep.options().keep if keep is None else keep, say=say)
    echo(f"{freed / 1e6:.0f} MB freed")


COMMANDS = (status, retry, pause, resume, cancel, extend, best, clean)
