"""`vidcls leak`: measures how much a leaking split inflates accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcls.cli.common import (
    AsJson,
    DataFile,
    Force,
    SpecArgs,
    console,
    load_one,
    print_json,
    refuse_missing_data,
    say,
    split_args,
)
from vidcls.cli.queue.queued import Cluster, as_words
from vidcls.cli.queue.trainings import AcceptCode, Device, DryRun, queue_trainings, refuse_beside_queue
from vidcls.cli.study.files import Out, refuse_written, write_study
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.campaign.leak import Inflation

_NAME = "leak"


def leak(
    args: SpecArgs,
    seeds: Annotated[
        int, typer.Option(min=2, max=100, help="Number of pairs of trainings; each pair has its own seed.")
    ] = 5,
    data_file: DataFile = None,
    device: Device = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Train everything again from the start.")
    ] = False,
    accept_code: AcceptCode = False,
    cluster: Cluster = None,
    dry_run: DryRun = False,
    out: Out = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Measure how much a leaking split inflates accuracy, compared with a group-disjoint split.

    Trains one spec on both splits of the same train and val videos, with equal sizes for each class. Give the
    same command again to continue. With --cluster, each training is a job; give the command without --cluster
    afterwards to collect the results.
    """
    loaded = load_one(args, data_file)  # reports mistakes before torch is loaded
    refuse_written(out, _NAME, force=force)
    refuse_beside_queue(cluster, dry_run=dry_run, out=out, as_json=as_json)
    if cluster is not None and restart:
        raise UserError(
            "--restart would start from the beginning each time a job is queued again",
            hint="move the old runs away",
        )
    refuse_missing_data(loaded)

    from vidcls.campaign.leak import design, measure_leak

    _, overrides = split_args(args)
    first = loaded.spec.seed
    planned = design(loaded.path, overrides, seeds=range(first, first + seeds), data_file=data_file)
    if cluster is not None:
        flags = as_words({"--device": device, "--accept-code": accept_code})
        trainings = [training for pair in planned.pairs.values() for training in pair]
        queue_trainings(trainings, flags, cluster=cluster, dry_run=dry_run)
        return

    from vidcls.cli.output.display import open_display
    from vidcls.training.run_training import Options

    options = Options(device=device, restart=restart, accept_code=accept_code)
    found = measure_leak(planned, options=options, display=open_display, say=say)
    content = _plain(found)
    if as_json:
        print_json(content)
    else:
        _render(found, content)
    if out is not None:
        pairs = [{"seed": pair.seed, "leaky": pair.leaky, "clean": pair.clean} for pair in found.pairs]
        write_study(
            out, _NAME, content=content, tables={"pairs": pairs}, head=_verdict(found, content), say=say
        )


def _plain(found: Inflation) -> dict[str, Any]:
    from vidcls.study.intervals import plain_difference

    leaky_groups, clean_groups = found.num_groups
    return {
        "inflation": found.difference.value,
        **plain_difference(found.difference),
        "is_clear": found.difference.is_clear,
        "interval_covers": found.covered,
        "held_fixed": found.held_fixed,
        "warnings": found.warnings(),
        "leaky_split": "the data's own" if found.is_own_split else "drawn at random",
        "leaking_share": found.share,
        "num_groups": {"leaky": leaky_groups, "clean": clean_groups},
        "pairs": [
            {
                "seed": pair.seed,
                "leaky": pair.leaky,
                "clean": pair.clean,
                "runs": [str(run) for run in pair.runs],
            }
            for pair in found.pairs
        ],
    }


def _render(found: Inflation, content: dict[str, Any]) -> None:
    from rich import box

    from vidcls.cli.output.screen import Table

    table = Table("seed", box=box.SIMPLE_HEAD)
    for name in (f"leaky {found.share:.0%}", "clean", "difference"):
        table.add_column(name, justify="right")
    for pair in found.pairs:
        gap = f"{100 * (pair.leaky - pair.clean):+.1f}"
        table.add_row(str(pair.seed), f"{pair.leaky:.1%}", f"{pair.clean:.1%}", gap)
    screen = console()
    screen.print("val top-1 after the last epoch, train and val videos only, equal sizes class by class")
    screen.print(table)
    screen.print(_verdict(found, content), soft_wrap=True)
    for warning in found.warnings():
        screen.print(warning, soft_wrap=True)


def _verdict(found: Inflation, content: dict[str, Any]) -> str:
    from vidcls.study.intervals import interval_in_words, points

    whose = "the data's own split" if found.is_own_split else "a split drawn at random"
    clear = "" if content["is_clear"] and content["inflation"] > 0 else ": no inflation shown"
    covers = "the interval covers" if content["low"] is not None else "an interval would cover"
    return (
        f"{whose} inflates val top-1 by {points(content['inflation'], sign='+')} points "
        f"({interval_in_words(content['low'], content['high'], sign='+')}, "
        f"{len(found.pairs)} pairs, {min(found.num_groups)} groups){clear}\n"
        f"{covers} {found.covered}; held fixed: {found.held_fixed}"
    )
