"""`vidcls power`: says how many seeds, groups and videos a claim needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import (
    AcrossData,
    AsJson,
    StoredCheckpoint,
    StoredSplit,
    console,
    echo,
    print_json,
    say,
)
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Table
    from vidcls.run.folder import Run
    from vidcls.statistics.power import Plan
    from vidcls.study.power import Answer, Ground, Question

_GIVEN = ("--seed-sd", "--group-sd", "--disagreement")


Claimed = Annotated[
    float,
    typer.Option(
        "--difference", min=0.01, max=100, help="True difference in top-1 that is to be found, in points."
    ),
]
RunArgs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[WHAT...]",
        help="Runs whose variances are measured, named as for compare: two configurations or more, with two"
        " seeds or more each.",
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="Fixed number of seeds of each configuration; else it is searched."),
]
Groups = Annotated[
    int | None,
    typer.Option(min=2, max=1_000_000, help="Fixed number of groups of videos; default: those of the runs."),
]
Videos = Annotated[
    int | None, typer.Option(min=2, max=10_000_000, help="Fixed number of videos in these groups.")
]
SeedSd = Annotated[
    float | None,
    typer.Option(min=0, max=50, help="Standard deviation of top-1 over seeds, on endless videos, in points."),
]
GroupSd = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=100,
        help="Standard deviation, from group to group, of the difference between two configurations, in"
        " points.",
    ),
]
Disagreement = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=100,
        help="Percentage of videos that one seed of a configuration gets right and another one wrong, if each"
        " video goes its own way.",
    ),
]
Wanted = Annotated[float, typer.Option("--power", min=5, max=99.9, help="Power that is enough, in percent.")]
Comparisons = Annotated[
    int,
    typer.Option(min=1, max=100_000, help="Number of comparisons made together, such as 3 for 3 pairs."),
]


def power(
    difference: Claimed,
    runs: RunArgs = None,
    seeds: Seeds = None,
    groups: Groups = None,
    videos: Videos = None,
    seed_sd: SeedSd = None,
    group_sd: GroupSd = None,
    disagreement: Disagreement = None,
    wanted: Wanted = 80,
    comparisons: Comparisons = 1,
    split: StoredSplit = "val",
    checkpoint: StoredCheckpoint = "best",
    across_data: AcrossData = False,
    as_json: AsJson = False,
) -> None:
    """Say how many seeds, groups and videos are needed to find a difference in top-1.

    The variances are measured on the stored predictions of runs, or given by --seed-sd, --group-sd and
    --disagreement. Power is the percentage of such studies in which the difference would be found. The number
    of seeds is searched for; with --seeds, the number of groups is.
    """
    given = dict(zip(_GIVEN, (seed_sd, group_sd, disagreement), strict=True))
    _refuse_both(runs, given)
    asked = {"--split test": split != "val", "--checkpoint last": checkpoint != "best"}
    _refuse_without_runs(runs, {**asked, "--across-data": across_data})
    found: list[Run] = []
    if runs:
        from vidcls.cli.study.named_runs import named_runs

        found = named_runs(runs, say=say)
    from vidcls.study.power import Question, answer, given_ground, measured_ground

    if runs:
        ground = measured_ground(found, split, checkpoint=checkpoint, across_data=across_data)
    else:
        ground = given_ground(
            seed_sd=seed_sd or 0.0, group_sd=group_sd or 0.0, disagreement=disagreement or 0.0
        )
    question = Question(difference / 100, wanted / 100, 0.05 / comparisons, seeds, groups, videos)
    result = answer(ground, question)
    for label in ground.left_out:
        say(f"{label}: left out: a single seed says nothing about the spread over seeds")
    looked_at = found if split == "test" else []
    if as_json:
        from vidcls.cli.evaluate_tables import openings_json

        looks = openings_json(looked_at) if looked_at else {}
        print_json({**_plain(result, ground, question), **looks})
    else:
        from vidcls.cli.evaluate_tables import print_openings

        _render(result, ground, question)
        print_openings(looked_at)


def _refuse_both(runs: list[str] | None, given: dict[str, float | None]) -> None:
    """Refuse variances beside runs, which have their own, and variances that are not complete."""
    named = [name for name, value in given.items() if value is not None]
    if runs and named:
        raise UserError(
            f"{named[0]} has no effect with runs, whose variances are measured", hint="give only one of them"
        )
    if not runs and len(named) < len(given):
        missing = ", ".join(name for name in given if name not in named)
        raise UserError(
            f"the variances are not known: give runs, or {missing}",
            hint="vidcls power --difference 5 runs/a runs/b, or vidcls power --difference 5 --seed-sd 3"
            " --group-sd 25 --disagreement 15 --groups 45 --videos 120",
        )


def _refuse_without_runs(runs: list[str] | None, named: dict[str, bool]) -> None:
    for option in (option for option, is_named in named.items() if is_named and not runs):
        raise UserError(f"{option} has no effect without runs, whose predictions are read", hint="name runs")


def _sentence(result: Answer, question: Question) -> str:
    """The answer, to be copied."""
    claim = f"{100 * question.difference:g} points"
    if question.alpha < 0.05:
        claim += f", {round(0.05 / question.alpha)} comparisons together"
    if result.plan is not None:
        return f"{claim}: {_size(result.plan)} ({_percent(result.power)})"
    seeds, videos = _seeds(result.tried.num_seeds), _videos(result.tried)
    if result.searched == "groups":
        sentence = f"{claim}: no number of groups is enough with {seeds} ({videos}: {_percent(result.power)})"
    else:
        sentence = f"{claim}: no number of seeds is enough with {videos} ({seeds}: {_percent(result.power)})"
    if result.instead is not None:
        sentence += f"; {_size(result.instead)} are enough"
    return sentence


def _size(plan: Plan) -> str:
    return f"{_seeds(plan.num_seeds)} with {_videos(plan)}"


def _videos(plan: Plan) -> str:
    return f"{plan.num_videos} videos in {plan.num_groups} groups"


def _seeds(number: int) -> str:
    return "one seed each" if number == 1 else f"{number} seeds each"


def _percent(power: float) -> str:
    return f"power {100 * power:.0f} %"


def _render(result: Answer, ground: Ground, question: Question) -> None:
    echo(_sentence(result, question))
    if result.plan is not None and result.plan.num_seeds == 1:
        echo("with one seed each, the claim is about these two checkpoints, not about their configurations")
    points = ground.as_points()
    echo(
        f"variances ({ground.source}): top-1 varies over seeds by {points['seed_sd']:.1f} points on endless"
        f" videos; two seeds differ as if they disagreed on {points['disagreement']:.1f} % of the videos; the"
        f" difference of two configurations varies by {points['group_sd']:.1f} points from group to group"
    )
    if ground.warning:
        echo(ground.warning)
    console().print(_table(result, ground, question))


def _table(result: Answer, ground: Ground, question: Question) -> Table:
    from rich import box

    from vidcls.cli.output.screen import Table, styled
    from vidcls.study.power import power_table

    rows = power_table(ground, question, result)
    sizes = list(dict.fromkeys((row["groups"], row["videos"]) for row in rows))
    table = Table(title="power by seeds and groups (videos)", box=box.SIMPLE_HEAD)
    table.title_justify = "left"
    table.add_column("seeds", justify="right")
    for num_groups, num_videos in sizes:
        table.add_column(f"{num_groups} ({num_videos})", justify="right", no_wrap=True)
    for seeds in dict.fromkeys(row["seeds"] for row in rows):
        powers = [row["power"] for row in rows if row["seeds"] == seeds]
        cells = [styled(f"{p:.0%}", "bold" if p >= question.power else "none") for p in powers]
        table.add_row(str(seeds), *cells)
    return table


def _plain(result: Answer, ground: Ground, question: Question) -> dict[str, object]:
    from vidcls.study.power import power_table

    return {
        "sentence": _sentence(result, question),
        "difference": question.difference,
        "alpha": question.alpha,
        "power_wanted": question.power,
        "searched": result.searched or None,
        "enough": result.plan is not None and result.power >= question.power,
        "plan": _plan(result.plan),
        "power": result.power,
        "tried": _plan(result.tried),
        "instead": _plan(result.instead),
        "variances": {"source": ground.source, "warning": ground.warning or None, **ground.as_points()},
        "left_out": list(ground.left_out),
        "table": power_table(ground, question, result),
    }


def _plan(plan: Plan | None) -> dict[str, int] | None:
    if plan is None:
        return None
    return {"seeds": plan.num_seeds, "groups": plan.num_groups, "videos": plan.num_videos}
