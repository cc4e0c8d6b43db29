"""`vidcls crossval`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, console, print_json, say, split_args
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.campaign.crossval import CrossValidation


def crossval(
    args: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC... [KEY=VALUE]...", help="YAML files, compared with the first; overrides for all."
        ),
    ],
    folds: Annotated[int, typer.Option(min=2, max=100, help="Folds; no group is in two of them.")] = 5,
    fold_seeds: Annotated[
        str, typer.Option(help="Each draws folds of its own, and all of them are trained.")
    ] = "0",
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    accept_code: Annotated[
        bool,
        typer.Option("--accept-code", help="Go on although the code, or a package that computes, changed."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Group k-fold cross-validation of specs over train and val: accuracy and paired differences.

    Each video is scored once a fold seed, at the last epoch, by a model that saw nothing of its group. Give
    the same command again to go on.
    """
    files, overrides = split_args(args)
    if not files:
        raise UserError("expected spec files, got none", hint="for example experiments/few_videos.yaml")
    seeds = _seeds(fold_seeds)

    from vidcls.campaign.crossval import cross_validate
    from vidcls.cli.display import open_display
    from vidcls.train.start import Options

    found = cross_validate(
        files,
        overrides,
        num_folds=folds,
        fold_seeds=seeds,
        options=Options(device=device, accept_code=accept_code),
        display=open_display,
        say=say,
    )
    if as_json:
        print_json(_plain(found))
    else:
        _render(found)


def _seeds(text: str) -> list[int]:
    written = [seed.strip() for seed in text.split(",")]
    seeds = [int(seed) for seed in written if re.fullmatch(r"[0-9]{1,10}", seed)]
    if len(set(seeds)) < len(written) or max(seeds) >= 2**32:
        from vidcls.spec.yaml import in_short

        raise UserError(
            f"--fold-seeds: expected whole numbers below 2**32, each once, got {in_short(text)}",
            hint="for example 0,1,2",
        )
    return seeds


def _plain(found: CrossValidation) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for number, scored in enumerate(found.specs):
        apart = found.difference(number)
        rows.append(
            {
                "spec": str(scored.file),
                "top1": scored.top1,
                "top1_each": scored.top1_each,
                "difference": apart.value,
                "interval_95": [apart.low, apart.high],
            }
        )
    return rows


def _render(found: CrossValidation) -> None:
    from rich import box

    from vidcls.cli.screen import Table

    table = Table("spec", box=box.SIMPLE_HEAD)
    for name in ("top-1", "each fold seed", "difference to the first", "95 % interval"):
        table.add_column(name, justify="right")
    for number, scored in enumerate(found.specs):
        each = " ".join(f"{100 * top1:.1f}" for top1 in scored.top1_each)
        apart = found.difference(number)
        reach = f"{100 * apart.low:+.1f} to {100 * apart.high:+.1f}"
        cells = (f"{100 * apart.value:+.1f}", reach) if number else ("", "")
        table.add_row(Path(scored.file).stem, f"{scored.top1:.1%}", each, *cells)
    screen = console()
    num_videos = found.specs[0].correct.shape[1]
    screen.print(
        f"{num_videos} videos of {len(set(found.groups))} groups, {found.num_folds} folds, last epoch; "
        "intervals by a bootstrap over groups",
        soft_wrap=True,
    )
    screen.print(table)
