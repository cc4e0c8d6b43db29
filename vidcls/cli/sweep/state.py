"""`vidcls sweep status`, `best`, `clean`: work from any login node, on the folder alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, Force, console, echo, print_json, refuse_overwrite, say, shown
from vidcls.text import printable

if TYPE_CHECKING:
    from vidcls.campaign.best_of import BestOf
    from vidcls.sweep.status import Overview, SweepObserver
    from vidcls.sweep.storage.folder import SweepFolder

Sweep = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP", help="Name, folder or file of the sweep; or a folder of runs with only one sweep."
    ),
]
RUNS = "runs"
_EVERY_S = 2.0


def status(
    name: Sweep = RUNS,
    watch: Annotated[
        bool, typer.Option("--watch", help="Update the display until the sweep has ended.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show all trials and all workers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the trials by state, the best trials so far, the workers, the time left and the hours used.

    Exit codes: 0, or 3 if trials have failed.
    """
    from vidcls.cli.sweep.table import show
    from vidcls.errors import ExitCode
    from vidcls.sweep.find import find_sweep
    from vidcls.sweep.status import SweepObserver
    from vidcls.sweep.status import as_json as plain

    sweep = find_sweep(name)
    observer = SweepObserver(sweep)
    if watch and not as_json:
        overview = _watch(observer, everything=everything)
    elif as_json:
        overview = observer.look()
        choice = _choice(sweep, overview)
        print_json(
            {
                **plain(overview, everything=everything),
                "selection": None if choice is None else choice.as_dict(),
            }
        )
    else:
        overview = observer.look()
        show(overview, everything=everything)
    if not as_json and (choice := _choice(sweep, overview)) is not None:
        echo(choice.sentence)
    if sweep.options().looks and not as_json:
        echo(f"a race: vidcls race {shown(sweep.path)} shows its verdict")
    if overview.failed:
        raise SystemExit(int(ExitCode.PARTLY_DONE))


def _choice(sweep: SweepFolder, overview: Overview) -> BestOf | None:
    """What choosing the best trial flatters; None while the sweep is not finished."""
    if not overview.state.startswith("finished"):
        return None
    from vidcls.campaign.best_of import best_of

    return best_of(sweep, overview.trials)


def _watch(observer: SweepObserver, *, everything: bool) -> Overview:
    """Show a sweep live until it is over; return its last state."""
    from rich.console import Group
    from rich.live import Live

    from vidcls.cli.sweep.table import render

    overview = observer.look()
    shown_now = Group(*render(overview, everything=everything))
    screen = console()
    with Live(shown_now, console=screen, auto_refresh=False) as live:
        while overview.state in ("running", "unknown"):
            time.sleep(_EVERY_S)
            overview = observer.look()
            live.update(Group(*render(overview, everything=everything)), refresh=True)
    if not screen.is_terminal:
        screen.line()  # on a terminal the display ends its last line itself
    return overview


def best(
    name: Sweep = RUNS,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: experiments/SWEEP_best.yaml.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the best configuration as an experiment file, and say what choosing it on val flatters."""
    from vidcls.campaign.best_of import best_of
    from vidcls.files import write_text
    from vidcls.spec.show import to_yaml
    from vidcls.sweep import actions
    from vidcls.sweep.config.file import load_sweep
    from vidcls.sweep.find import find_sweep

    sweep = find_sweep(name)
    winner = actions.winner(sweep)
    search = load_sweep(sweep.sweep_file)
    metric = search.objective.name
    path = out or Path("experiments") / f"{search.slug}_best.yaml"
    first, choice = winner.trials[0], best_of(sweep, sweep.trials().refresh())
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
        found |= {"selection": None if choice is None else choice.as_dict()}
        print_json({"file": str(path), **found, "point": point, "runs": runs})
        return
    echo(f"{path}: {metric} {winner.value:.4f}, mean of {len(winner.trials)} seed(s), {leaks}")
    if winner.paused_at is not None:
        echo(
            f"  no trial is finished: trial {first.number} is the best of the waiting trials, "
            f"{told.removeprefix(', ')}"
        )
    for path_of_run in runs:
        echo(f"  trained as {shown(Path(path_of_run))}")
    if choice is not None:
        echo(choice.sentence)
    echo(f"next: vidcls train {path}")


def clean(
    name: Sweep = RUNS,
    keep: Annotated[
        int | None,
        typer.Option(
            min=0, help="Number of best configurations whose weights are kept; default: as at launch."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove the sweep with all its runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove the checkpoints of all trials except the best; metrics and predictions stay."""
    from vidcls.errors import UserError
    from vidcls.sweep.clean import clean as clean_sweep
    from vidcls.sweep.clean import remove as remove_sweep
    from vidcls.sweep.find import find_sweep

    sweep = find_sweep(name)
    if everything:
        if as_json and not yes:
            raise UserError(
                "--all --json: a script cannot answer the question before the sweep is removed",
                hint="add --yes",
            )
        if not yes:
            typer.confirm(f"remove {printable(sweep.path.resolve())} with all its runs?", abort=True)
        remove_sweep(sweep, say=say)
        if as_json:
            print_json({"folder": str(sweep.path), "removed": True})
            return
        echo(f"removed {sweep.path}")
        return
    freed = clean_sweep(sweep, keep=sweep.options().keep if keep is None else keep, say=say)
    if as_json:
        print_json({"folder": str(sweep.path), "removed": False, "freed_bytes": freed})
        return
    echo(f"{freed / 1e6:.0f} MB freed")


COMMANDS = (status, best, clean)
