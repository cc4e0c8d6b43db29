"""`vidcls evaluate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.check import NoCheck, refuse_errors, refuse_without_cluster, require_all
from vidcls.cli.common import AsJson, console, echo, print_json, say, times
from vidcls.cli.queued import Cluster, Queued, as_words, queue_command
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.evaluate.compare import Comparison
    from vidcls.evaluate.metrics import Metrics
    from vidcls.launch.job import Job
    from vidcls.launch.profile import AnyProfile
    from vidcls.runs import Checkpoint, Run
    from vidcls.spec.sections import Split


def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or folders that hold runs.")
    ],
    split: Annotated[
        Literal["train", "val", "test"], typer.Option(help="Each evaluation on test is written down.")
    ] = "val",
    checkpoint: Annotated[Literal["best", "last", "all"], typer.Option(help="Which weights.")] = "best",
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    cluster: Cluster = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --cluster: print the script.")] = False,
    no_check: NoCheck = False,
    as_json: AsJson = False,
) -> None:
    """Score a split: logits, metrics, per-class table, confusion matrix; several runs are compared.

    Exit code 3 where some videos could not be scored; they are named.
    """
    if cluster is not None:
        from vidcls.launch.frozen import queued_dir

        words = ["evaluate", *map(str, runs), "--split", split, "--checkpoint", checkpoint]
        words += as_words({"--device": device})
        chosen = _with_checkpoint(runs, checkpoint)[0]
        logs = _common_folder(chosen) / "logs"
        code_in = queued_dir(chosen[0].folder.parents[1])
        job = Queued(words, name=f"evaluate {split}", log_dir=logs, cluster=cluster, code_in=code_in)
        look = None if no_check else partial(_check, chosen, split)
        queue_command(job, dry_run=dry_run, as_json=as_json, check=look)
        return
    refuse_without_cluster(no_check)
    if dry_run:
        raise UserError("--dry-run prints the script of a job", hint="name the queue: --cluster PROFILE")

    from vidcls.evaluate.compare import compare
    from vidcls.evaluate.figures import draw_comparison
    from vidcls.evaluate.run import as_evaluation

    found, skipped = _with_checkpoint(runs, checkpoint)
    rows = _score(found, split, checkpoint, device=device)
    comparison = compare(
        [as_evaluation(run, which, split=split, metrics=metrics) for run, which, metrics in rows]
    )
    figure = None
    if len(rows) > 1:
        figure = _common_folder(found) / f"comparison-{split}.png"
        draw_comparison(comparison, figure, say=say)
    unscored = {
        f"{run.folder}: {name}": why for run, which, _ in rows for name, why in _unscored(run, split, which)
    }
    if as_json:
        print_json(_plain(rows, split, comparison=comparison, unscored=unscored))
    else:
        _render(rows, split, comparison=comparison, figure=figure)
    for name, why in unscored.items():
        say(f"{name}: not scored: {why}")
    for run in skipped:
        say(f"{run.folder}: left out: no checkpoint {checkpoint!r} yet")
    if unscored or skipped:
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _check(runs: list[Run], split: Split, profile: AnyProfile, job: Job) -> None:
    require_all()
    from vidcls.campaign.preflight.check import check_evaluation

    refuse_errors(check_evaluation(runs, split=split, profile=profile, job=job))


def _score(
    runs: list[Run], split: Literal["train", "val", "test"], checkpoint: str, *, device: str | None
) -> list[tuple[Run, Checkpoint, Metrics]]:
    from vidcls.cli.display import open_display
    from vidcls.evaluate.run import evaluate
    from vidcls.models.device import pick_device

    place = pick_device(device)
    rows: list[tuple[Run, Checkpoint, Metrics]] = []
    with open_display() as display:
        for run in runs:
            wanted = _checkpoints(run, checkpoint)
            results = evaluate(
                run,
                split=split,
                checkpoints=wanted,
                device=place,
                say=display.say,
                progress=display.stage,
            )
            rows += [(run, which, metrics) for which, metrics in results.items()]
    return rows


def _with_checkpoint(folders: list[Path], checkpoint: str) -> tuple[list[Run], list[Run]]:
    """The runs that have the checkpoint, and those that have not."""
    from vidcls.runs import open_runs

    runs = open_runs(folders)
    found = [run for run in runs if _checkpoints(run, checkpoint)]
    skipped = [run for run in runs if run not in found]
    if not found:
        names = ", ".join(str(run.folder) for run in skipped)
        hint = "train it first; train.keep_last=true keeps the last checkpoint of a finished run"
        raise UserError(f"{names}: no checkpoint {checkpoint!r}", hint=hint)
    return found, skipped


def _checkpoints(run: Run, asked: str) -> list[Checkpoint]:
    from vidcls.runs import CHECKPOINTS

    wanted = [which for which in CHECKPOINTS if asked in (which, "all")]
    return [which for which in wanted if run.checkpoint_file(which).is_file()]


def _common_folder(runs: list[Run]) -> Path:
    from os.path import commonpath

    return Path(commonpath([str(run.folder.parent) for run in runs]))


def _unscored(run: Run, split: str, which: Checkpoint) -> list[tuple[str, str]]:
    from vidcls.evaluate.predictions import load_predictions

    return list(load_predictions(run.predictions_file(split, which)).unscored.items())


def _plain(
    rows: list[tuple[Run, Checkpoint, Metrics]],
    split: str,
    *,
    comparison: Comparison,
    unscored: dict[str, str],
) -> dict[str, object]:
    from dataclasses import asdict

    evaluations = [
        {
            "run": str(run.folder),
            "checkpoint": which,
            "leak_state": shown.leak_state,
            "num_videos": metrics.num_videos,
            "metrics": metrics.named(split),
            "per_class": [asdict(row) for row in metrics.per_class],
        }
        for (run, which, metrics), shown in zip(rows, comparison.rows, strict=True)
    ]
    content: dict[str, object] = {
        "split": split,
        "evaluations": evaluations,
        "verdict": comparison.verdict,
        "unscored": unscored,
    }
    if split == "test":
        from vidcls.evaluate.ledger import ledger_of

        content["test_openings"] = {str(run.folder): ledger_of(run).count for run, _, _ in rows}
    return content


def _render(
    rows: list[tuple[Run, Checkpoint, Metrics]], split: str, *, comparison: Comparison, figure: Path | None
) -> None:
    from vidcls.cli.evaluate_tables import class_table, comparison_table
    from vidcls.evaluate.ledger import ledger_of

    screen = console()
    if len(rows) == 1:
        screen.print(class_table(rows[0][2], leak_state=comparison.rows[0].leak_state))
    screen.print(comparison_table(comparison))
    for run, which, _ in rows:
        echo(f"{run.report_dir(split, which)}/")
    if figure is not None:
        echo(str(figure))
    if split == "test":
        ledgers = {ledger_of(run).path: ledger_of(run) for run, _, _ in rows}
        for path, ledger in ledgers.items():
            echo(f"the test split of this data was opened {times(ledger.count)} so far: {path}")
