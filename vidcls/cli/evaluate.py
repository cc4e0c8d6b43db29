"""`vidcls evaluate`: scores runs on a split."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import AsJson, RunFolders, console, echo, print_json, say, say_left_out
from vidcls.cli.queue.preflight import NoCheck, refuse_errors, refuse_without_cluster, require_all
from vidcls.cli.queue.queued import Cluster, QueuedCommand, as_words, queue_command
from vidcls.cli.queue.trainings import Device, DryRun, TrustCode
from vidcls.errors import ExitCode, UserError
from vidcls.process.signals import Signals

if TYPE_CHECKING:
    from vidcls.choices import Split
    from vidcls.evaluate.metrics import Metrics
    from vidcls.evaluate.run_table import RunTable
    from vidcls.evaluate.stored import AskedCheckpoints, Scoring
    from vidcls.launch.job import Job
    from vidcls.launch.queue import AnyProfile
    from vidcls.run.folder import Checkpoint, Run

    Scored = tuple[Scoring, Metrics]

_MAX_FOLDERS = 10
Anew = Annotated[bool, typer.Option("--anew", help="Score again even if results are stored.")]
CheckpointOption = Annotated[
    Literal["best", "last", "all"], typer.Option(help="Checkpoint whose weights are used.")
]


def evaluate(
    runs: RunFolders,
    split: Annotated[
        Literal["train", "val", "test"],
        typer.Option(help="Split to score. Every evaluation on test is recorded in a ledger."),
    ] = "val",
    checkpoint: CheckpointOption = "best",
    device: Device = None,
    cluster: Cluster = None,
    dry_run: DryRun = False,
    no_check: NoCheck = False,
    anew: Anew = False,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Score runs on a split (logits, metrics, per-class table, confusion matrix).

    If weights and data have not changed, stored results are shown; on test, this counts as a repeated look.

    Exit code 3 if some videos could not be scored; they are named.
    """
    if cluster is not None:
        words = ["evaluate", *map(str, runs), "--split", split, "--checkpoint", checkpoint]
        words += as_words({"--device": device, "--anew": anew, "--trust-code": trust_code})
        from vidcls.user_code.trust import trusting

        with trusting(trust_code):
            plan, _ = _plan(runs, split, checkpoint, anew=anew)
            chosen = list(dict.fromkeys(s.run for s in plan if s.stored is None))
            look = None if no_check else partial(_check, chosen, split)
            _queue(words, chosen, split, cluster=cluster, dry_run=dry_run, as_json=as_json, check=look)
        return
    refuse_without_cluster(no_check)
    if dry_run:
        raise UserError("--dry-run: has no effect without --cluster", hint="add --cluster PROFILE")

    from vidcls.evaluate.run_table import run_table
    from vidcls.evaluate.stored import as_evaluation, points_of
    from vidcls.user_code.trust import trusting

    with trusting(trust_code):
        plan, left_out = _plan(runs, split, checkpoint, anew=anew)
        scored = _score(plan, split, device=device)
    of_runs = list(dict.fromkeys(scoring.run for scoring in plan))
    points = dict(zip(of_runs, points_of(of_runs), strict=True))
    table = run_table(
        [as_evaluation(s, split=split, metrics=metrics, point=points[s.run]) for s, metrics in scored]
    )
    figure = _draw(of_runs, table, split)
    unscored = {f"{s.run.folder}: {name}": why for s in plan for name, why in _unscored(s, split)}
    compare = _comparison(runs, of_runs, table)
    if as_json:
        print_json(_plain(scored, split, table=table, compare=compare, unscored=unscored, left_out=left_out))
    else:
        _render(scored, split, table=table, compare=compare, figure=figure)
    for name, why in unscored.items():
        say(f"{name}: not scored: {why}")
    say_left_out(left_out)
    if unscored or left_out:
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _comparison(folders: list[Path], runs: list[Run], table: RunTable) -> str | None:
    """Command that compares these runs on val; None if they are one configuration, or of different data."""
    from vidcls.study.configurations import configuration_key

    if not table.highest or len({configuration_key(run) for run in runs}) < 2:
        return None
    words = ["vidcls", "compare", *map(str, folders)]
    has_best = any(row.checkpoint == "best" for row in table.rows)
    return shlex.join([*words, *([] if has_best else ["--checkpoint", "last"])])


def _draw(runs: list[Run], table: RunTable, split: str) -> Path | None:
    """Draw the scores, if there are several, and curves that were not drawn, as those of brief trials."""
    from vidcls.evaluate.figures import draw_run, draw_run_table

    for run in runs:
        if not run.curves_file.exists() and run.metrics_file.exists():
            draw_run(run, say=say)
    if len(table.rows) < 2:
        return None
    figure = _common_folder(runs) / f"scores-{split}.png"
    draw_run_table(table, figure, say=say)
    return figure


def _queue(
    words: list[str],
    runs: list[Run],
    split: str,
    *,
    cluster: str,
    dry_run: bool,
    as_json: bool,
    check: Callable[[AnyProfile, Job], None] | None,
) -> None:
    """Queue the scoring of runs; if everything is stored, there is nothing to queue."""
    from vidcls.launch.frozen import queued_dir

    if runs:
        logs = _common_folder(runs) / "logs"
        code_in = queued_dir(runs[0].folder.parents[1])
        job = QueuedCommand(words, name=f"evaluate {split}", log_dir=logs, cluster=cluster, code_in=code_in)
        queue_command(job, dry_run=dry_run, as_json=as_json, check=check)
    elif as_json:
        print_json({"job": None, "log": None})
    else:
        echo("all results are stored already, nothing is queued; --anew scores again")
        echo("next: the same command without --cluster shows them")


def _check(runs: list[Run], split: Split, profile: AnyProfile, job: Job) -> None:
    require_all()
    from vidcls.campaign.preflight.check import check_evaluation

    refuse_errors(check_evaluation(runs, split=split, profile=profile, job=job))


def _plan(
    folders: list[Path], split: Split, checkpoint: AskedCheckpoints, *, anew: bool
) -> tuple[list[Scoring], dict[Run, str]]:
    """Plan what to score and what is stored, and why runs are left out; runs before torch is loaded."""
    from vidcls.run.find import open_runs

    found = open_runs(folders)
    from vidcls.evaluate.stored import plan_scoring, refuse_other_data

    plan, left_out = plan_scoring(found, split, checkpoint=checkpoint, anew=anew)
    if not plan:
        say_left_out(left_out)
        raise UserError(f"none of {len(left_out)} run(s) has a checkpoint or stored {split} logits")
    refuse_other_data([scoring.run for scoring in plan])
    return plan, left_out


def _score(plan: list[Scoring], split: Split, *, device: str | None) -> list[Scored]:
    """Score runs that are not stored; results are in the order of the plan."""
    from vidcls.cli.output.display import open_display
    from vidcls.evaluate.stored import show_again

    missing: dict[Run, list[Checkpoint]] = {}
    for scoring in plan:
        if scoring.stored is None:
            missing.setdefault(scoring.run, []).append(scoring.which)
    computed: dict[tuple[Run, Checkpoint], Metrics] = {}
    with Signals() as signals, open_display() as display:
        if missing:
            from vidcls.evaluate.run import evaluate
            from vidcls.models.device import pick_device

            place = pick_device(device)
        for run, wanted in missing.items():
            results = evaluate(
                run,
                split=split,
                checkpoints=wanted,
                device=place,
                say=display.say,
                progress=signals.heeding(display.stage),
            )
            computed |= {(run, which): metrics for which, metrics in results.items()}
        if num_stored := sum(scoring.stored is not None for scoring in plan):
            display.say(f"{num_stored} of {len(plan)} results were stored already; --anew scores them again")
        return [
            (s, show_again(s, split, say=display.say) if s.stored is not None else computed[s.run, s.which])
            for s in plan
        ]


def _common_folder(runs: list[Run]) -> Path:
    from os.path import commonpath

    return Path(commonpath([str(run.folder.parent) for run in runs]))


def _unscored(scoring: Scoring, split: str) -> list[tuple[str, str]]:
    from vidcls.evaluate.predictions import load_predictions

    return list(load_predictions(scoring.run.predictions_file(split, scoring.which)).unscored.items())


def _plain(
    rows: list[Scored],
    split: str,
    *,
    table: RunTable,
    compare: str | None,
    unscored: dict[str, str],
    left_out: dict[Run, str],
) -> dict[str, object]:
    from dataclasses import asdict

    from vidcls.evaluate.stored import differences_of

    points = differences_of([scoring.run for scoring, _ in rows])
    evaluations = [
        {
            "run": str(scoring.run.folder),
            "checkpoint": scoring.which,
            "point": point,
            "stored": scoring.stored is not None,
            "leak_state": shown.leak_state,
            "num_videos": metrics.num_videos,
            "metrics": metrics.named(split),
            "per_class": [asdict(row) for row in metrics.per_class],
        }
        for (scoring, metrics), shown, point in zip(rows, table.rows, points, strict=True)
    ]
    content: dict[str, object] = {
        "split": split,
        "evaluations": evaluations,
        "highest": list(table.highest),
        "note": table.note,
        "compare": compare,
        "unscored": unscored,
        "left_out": {str(run.folder): why for run, why in left_out.items()},
    }
    if split == "test":
        from vidcls.cli.evaluate_tables import openings_json

        content |= openings_json(scoring.run for scoring, _ in rows)
    return content


def _render(
    rows: list[Scored], split: str, *, table: RunTable, compare: str | None, figure: Path | None
) -> None:
    from vidcls.cli.evaluate_tables import class_table, print_openings, table_of_runs

    screen = console()
    if len(rows) == 1:
        screen.print(class_table(rows[0][1], leak_state=table.rows[0].leak_state))
    screen.print(table_of_runs(table))
    if compare is not None:
        echo(f"whether the highest is really better: {compare}")
    for scoring, _ in rows[:_MAX_FOLDERS]:
        echo(f"{scoring.run.report_dir(split, scoring.which)}/")
    if len(rows) > _MAX_FOLDERS:
        echo(f"and {len(rows) - _MAX_FOLDERS} more; --json lists all")
    if figure is not None:
        echo(str(figure))
    if split == "test":
        print_openings(scoring.run for scoring, _ in rows)
