"""`vidcls fuse`: fuses the stored logits of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import AsJson, RunFolders, StoredCheckpoint, console, echo, print_json, say, shown
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Table
    from vidcls.evaluate.metrics import Metrics
    from vidcls.study.fuse import Fusion, FusionPlan, How


def fuse(
    runs: RunFolders,
    tune: Annotated[
        Literal["val"] | None, typer.Option(help="Choose the fusion weights with the smallest loss on val.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="W,W...", help="Weight of each run, such as 0.6,0.4; default: equal weights."),
    ] = None,
    split: Annotated[
        Literal["val", "test"],
        typer.Option(help="Split to score. Every evaluation on test is recorded in a ledger."),
    ] = "val",
    checkpoint: StoredCheckpoint = "best",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the result; default: a folder in fused/ beside the runs."
        ),
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Show the recall of each class.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fuse existing runs by the weighted mean of their stored logits, without training.

    Predictions and report are stored like those of a run. With --tune val, each val video is scored with
    weights tuned on videos of other groups. Exit code 3 if some videos have no logits; they are named.
    """
    from vidcls.run.find import open_runs

    found = tuple(open_runs(runs))
    if len(found) < 2:
        raise UserError(f"{found[0].folder}: a fusion needs two runs or more", hint="name another run too")

    from vidcls.study.fuse import FusionPlan, as_dict
    from vidcls.study.fuse import fuse as fuse_runs

    given = _parsed(weights, names=[str(run.folder) for run in found]) if weights is not None else ()
    if given and tune:
        raise UserError(
            "--weights has no effect with --tune, which chooses the weights",
            hint="give only one of these options",
        )
    how: How = "tuned on val" if tune else "given" if given else "equal"
    plan = FusionPlan(runs=found, checkpoint=checkpoint, split=split, how=how, given=given)
    fusion = fuse_runs(plan, folder=out, say=say)
    if as_json:
        from vidcls.cli.evaluate_tables import openings_json

        print_json({**as_dict(fusion, plan), **(openings_json(found) if split == "test" else {})})
    else:
        _render(fusion, plan, per_class=per_class)
    for name, why in fusion.unscored.items():
        say(f"{name}: not scored: {why}")
    if fusion.unscored:
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _parsed(text: str, *, names: list[str]) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    is_usable = all(0 <= value < float("inf") for value in values) and 0 < sum(values) < float("inf")
    if len(values) != len(names) or not is_usable:
        raise UserError(
            f"--weights {text}: expected {len(names)} numbers, none below zero, not all of them zero, for "
            "the "
            "runs\n" + "\n".join(f"  {name}" for name in names),
            hint=f"for example --weights {','.join(['1'] * len(names))}",
        )
    return values


def _render(fusion: Fusion, plan: FusionPlan, *, per_class: bool) -> None:
    from vidcls.run.folder import Run

    screen = console()
    if per_class:
        screen.print(_class_table(fusion, plan))
    screen.print(_table(fusion, plan))
    for line in _remarks(fusion, plan):
        echo(line)
    echo(f"{shown(Run(fusion.folder).report_dir(plan.split, plan.checkpoint))}/")
    if plan.split == "test":
        from vidcls.cli.evaluate_tables import print_openings

        print_openings(plan.runs)


def _remarks(fusion: Fusion, plan: FusionPlan) -> list[str]:
    """Sentences about the meaning of the numbers."""
    from vidcls.study.fuse import HELD_FIXED
    from vidcls.study.intervals import (
        few_groups,
        groups_in_words,
        interval_in_words,
        plain_difference,
        points,
    )

    lines = []
    if plan.flatters:
        others = "other groups"
        if fusion.unit == "videos":
            others = "other videos (perhaps related ones, because groups are not known)"
        lines.append(
            f"fused: cross-fitted, each video scored with weights tuned on {others}; the weights in the "
            "table are tuned on all of val, so their result there is too optimistic"
        )
    gain = fusion.gain
    if gain is None:
        return [*lines, "all videos belong to one group, so the gain cannot be judged"]
    best = plan.runs[fusion.best].folder
    verdict = "" if gain.is_clear else ": no difference shown"
    units = f"{fusion.num_units} videos (groups are not known)"
    if fusion.unit == "groups":
        units = groups_in_words(fusion.num_units, fusion.num_ungrouped)
    plain = plain_difference(gain)
    over = "" if plain["low"] is None else f" over {units}"
    known = interval_in_words(plain["low"], plain["high"], sign="+", samples=units)
    lines.append(
        f"fused minus {best.parent.name}/{best.name}, the best run by val: {points(gain.value, sign='+')}"
        f" points of top-1, {known}{over}, for {HELD_FIXED} only{verdict}"
    )
    if (choice := fusion.selection) is not None:
        lines.append(
            f"{best.parent.name}/{best.name} is the best of {choice.num_configurations} runs: choosing it on "
            f"these val videos flatters its own result by about {100 * choice.flattery:.1f} points even if "
            "all were equal, so the fusion gains rather more than is shown"
        )
    if few := few_groups(fusion.num_units, fusion.unit):
        lines.append(few)
    return lines


def _table(fusion: Fusion, plan: FusionPlan) -> Table:
    from rich import box

    from vidcls.cli.output.screen import Table

    table = Table(title=f"split: {plan.split}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.title_justify = "left"
    table.add_column("run", overflow="fold")
    for name in ("weight", "videos", "loss", "top-1", "top-5", "class acc", "macro F1"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("leak state", no_wrap=True)

    def add(name: str, metrics: Metrics, *, weight: str = "", style: str | None = None) -> None:
        shares = (metrics.top1, metrics.top5, metrics.mean_class_acc, metrics.macro_f1)
        cells = (str(metrics.num_videos), f"{metrics.loss:.3f}", *(f"{share:.1%}" for share in shares))
        table.add_row(name, weight, *cells, fusion.leak_state, style=style)

    for run, weight, metrics in zip(plan.runs, fusion.weights, fusion.singles, strict=True):
        add(f"{run.folder.parent.name}/{run.folder.name}", metrics, weight=f"{weight:.3f}")
    if fusion.equal is not None:
        add("for comparison: equal weights", fusion.equal)
    if fusion.seen is not None:
        add("optimistic: tuned on these videos", fusion.seen)
    what = "tuned on val, cross-fitted" if plan.flatters else f"weights {plan.how}"
    add(f"fused: {what}", fusion.fused, style="bold")
    return table


def _class_table(fusion: Fusion, plan: FusionPlan) -> Table:
    from vidcls.cli.output.screen import Table

    table = Table("class", box=None, title="recall", title_justify="left")
    for name in ("videos", *(f"{run.folder.parent.name}/{run.folder.name}" for run in plan.runs), "fused"):
        table.add_column(name, justify="right", overflow="fold")
    for rows in zip(*(metrics.per_class for metrics in (*fusion.singles, fusion.fused)), strict=True):
        recalls = ("-" if row.recall is None else f"{row.recall:.1%}" for row in rows)
        table.add_row(rows[0].name, str(rows[0].support), *recalls)
    return table
