"""`vidcls crossval`: group k-fold cross-validation of specs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcls.cli.common import AsJson, Force, console, print_json, refuse_missing_data, say, split_args
from vidcls.cli.queue.queued import Cluster, as_words
from vidcls.cli.queue.trainings import AcceptCode, Device, DryRun, queue_trainings, refuse_beside_queue
from vidcls.cli.study.files import Out, refuse_written, write_study
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.campaign.crossval import CrossValidation
    from vidcls.cli.output.screen import Table

_NAME = "crossval"
_COVERED = "other groups of videos and other trainings of the folds"
_HELD_FIXED = "the settings, and the set of videos to train on"
SpecArgs = Annotated[
    list[str],
    typer.Argument(
        metavar="SPEC... [KEY=VALUE]...", help="Spec files to compare, and overrides for all of them."
    ),
]


def crossval(
    args: SpecArgs,
    folds: Annotated[
        int, typer.Option(min=2, max=100, help="Number of folds; all videos of a group are in one fold.")
    ] = 5,
    fold_seeds: Annotated[
        str,
        typer.Option(help="Seeds such as 0,1,2. Each seed draws its own folds, and all folds are trained."),
    ] = "0",
    device: Device = None,
    accept_code: AcceptCode = False,
    cluster: Cluster = None,
    dry_run: DryRun = False,
    out: Out = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare specs by group k-fold cross-validation on train and val: accuracies and paired differences.

    For each fold seed, each video is scored once, after the last epoch, by a model that was not trained on
    any video of its group. Give the same command again to continue, or to collect the results of --cluster
    jobs.
    """
    files, overrides = split_args(args)
    if not files:
        raise UserError("expected spec files, got none", hint="for example experiments/few_videos.yaml")
    refuse_written(out, _NAME, force=force)
    refuse_beside_queue(cluster, dry_run=dry_run, out=out, as_json=as_json)
    from vidcls.spec.load import load_spec

    seeds = _seeds(fold_seeds)
    for loaded in [load_spec(file, overrides) for file in files]:
        refuse_missing_data(loaded)

    from vidcls.campaign.folds import design

    planned = design(files, overrides, num_folds=folds, fold_seeds=seeds)
    if cluster is not None:
        options = as_words({"--device": device, "--accept-code": accept_code})
        queue_trainings([f.loaded for f in planned.folds], options, cluster=cluster, dry_run=dry_run)
        return

    from vidcls.campaign.crossval import cross_validate
    from vidcls.cli.output.display import open_display
    from vidcls.training.run_training import Options

    found = cross_validate(
        planned, options=Options(device=device, accept_code=accept_code), display=open_display, say=say
    )
    content = _plain(found)
    if as_json:
        print_json(content)
    else:
        _render(content)
    if out is not None:
        _write(out, content)


def _write(out: Path, content: dict[str, Any]) -> None:
    specs = [{key: row[key] for key in row if key != "top1_each"} for row in content["specs"]]
    tables = {"specs": specs, "pairs": content["pairs"]}
    write_study(out, _NAME, content=content, tables=tables, head=_head(content), say=say)


def _seeds(text: str) -> list[int]:
    written = [seed.strip() for seed in text.split(",")]
    seeds = [int(seed) for seed in written if re.fullmatch(r"[0-9]{1,10}", seed)]
    if len(set(seeds)) < len(written) or max(seeds) >= 2**32:
        from vidcls.spec.yaml import in_short

        raise UserError(
            f"--fold-seeds: expected whole numbers below 2**32, all different, got {in_short(text)}",
            hint="for example 0,1,2",
        )
    return seeds


def _plain(found: CrossValidation) -> dict[str, Any]:
    from vidcls.study.intervals import interval_in_words, plain_difference, plain_share

    names = [str(scored.file) for scored in found.specs]
    specs = [
        {
            "spec": names[number],
            "top1": scored.top1,
            **plain_share(found.top1(number)),
            "top1_each": scored.top1_each,
        }
        for number, scored in enumerate(found.specs)
    ]
    pairs = [
        {
            "first": names[pair.first],
            "second": names[pair.second],
            "difference": pair.difference.value,
            **plain_difference(pair.difference),
            "p_value_holm": pair.p_value,
            "is_clear": pair.is_clear,
        }
        for pair in found.pairs()
    ]
    warnings = found.warnings()
    if any(row["low"] is None for row in (*specs, *pairs)):
        warnings.append(interval_in_words(None, None, samples="groups of videos and trainings"))
    return {
        "num_videos": len(found.groups),
        "num_groups": found.num_groups,
        "num_folds": found.num_folds,
        "fold_seeds": list(found.fold_seeds),
        "intervals_cover": _COVERED,
        "held_fixed": _HELD_FIXED,
        "warnings": warnings,
        "specs": specs,
        "pairs": pairs,
    }


def _head(content: dict[str, Any]) -> str:
    return (
        f"{content['num_videos']} videos of {content['num_groups']} groups, {content['num_folds']} folds,"
        f" last epoch\n95 % intervals cover {_COVERED}; held fixed: {_HELD_FIXED}"
    )


def _render(content: dict[str, Any]) -> None:
    """Print the values of the JSON alone, so that no number on the screen differs from it."""
    from rich import box

    from vidcls.cli.output.screen import Table
    from vidcls.study.intervals import points, reach

    table = Table("spec", box=box.SIMPLE_HEAD)
    for name in ("top-1 %", "95 % interval", "each fold seed"):
        table.add_column(name, justify="right")
    for row in content["specs"]:
        each = " ".join(map(points, row["top1_each"]))
        table.add_row(Path(row["spec"]).stem, points(row["top1"]), reach(row["low"], row["high"]), each)
    screen = console()
    screen.print(_head(content), soft_wrap=True)
    screen.print(table)
    if content["pairs"]:
        screen.print(_pair_table(content["pairs"]))
    for warning in content["warnings"]:
        screen.print(warning, soft_wrap=True)


def _pair_table(rows: list[dict[str, Any]]) -> Table:
    from rich import box

    from vidcls.cli.output.screen import Table
    from vidcls.study.compare.tables import p_text
    from vidcls.study.intervals import points, reach

    several = f", Holm over {len(rows)}" if len(rows) > 1 else ""
    table = Table("", "minus", box=box.SIMPLE_HEAD)
    for name in ("points of top-1", "95 % interval", f"p{several}", ""):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Path(row["second"]).stem,
            Path(row["first"]).stem,
            points(row["difference"], sign="+"),
            reach(row["low"], row["high"], sign="+"),
            p_text(row["p_value_holm"]),
            "" if row["is_clear"] else "not clear",
        )
    return table
