"""Verdict and results: the sentence to copy, scores with intervals, and paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from vidcls.drawing import drawable
from vidcls.study.compare.of_runs import flattered_by
from vidcls.study.compare.tables import Grid, configurations_grid, differences_grid
from vidcls.study.intervals import interval_in_words, points, videos_in_words
from vidcls.study.report.document import Block, Chart, Section, Text, listed
from vidcls.study.report.material import Material, Pool
from vidcls.study.report.writers.charts import COLORS, GREY, INK, PAGE_IN, names_on, shares_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 20
"""Largest number of rows of a figure that a reader can follow."""
_ROW_IN, _FRAME_IN = 0.21, 0.55


def verdict(material: Material) -> Section:
    """What was found, in words, for each pool of runs that can be compared."""
    blocks: list[Block] = []
    for pool in material.pools:
        if len(material.pools) > 1:
            blocks.append(Text((f"On {pool.data}:",)))
        blocks.append(Text((_sentence(pool, material),), is_verdict=True))
        if pool.comparison is not None:
            blocks += listed(pool.comparison["remarks"])
    if len(material.pools) > 1:
        blocks.append(
            Text(
                (
                    "Runs of different data, or of data with different leak states, are not compared with"
                    " each other: what leaks from training into an evaluation looks like accuracy.",
                )
            )
        )
    return Section("verdict", "Verdict", tuple(blocks))


def results(material: Material) -> Section:
    """Scores of the configurations with their intervals, and their paired differences."""
    blocks: list[Block] = []
    for number, pool in enumerate(material.pools):
        name = "" if number == 0 else f"-{number + 1}"
        if pool.comparison is None:
            blocks.append(_scores_alone(pool, material))
        else:
            blocks.append(configurations_grid(pool.comparison))
        blocks.append(_scores_chart(pool, f"scores{name}"))
        if pool.comparison is not None:
            blocks.append(differences_grid(pool.comparison))
            blocks.append(_differences_chart(pool, f"differences{name}"))
        if unscored := pool.evidence.unscored:
            title = f"{len(unscored)} videos that could not be scored"
            blocks.append(Grid(title, ("video", "why"), tuple(unscored.items())))
    blocks += listed(material.request.notes)
    if material.left_out:
        blocks.append(_left_out(material))
    return Section("results", "Results", tuple(blocks))


def _left_out(material: Material) -> Grid:
    """Why runs are left out, a row for each reason, which a hundred trials may share."""
    by_reason: dict[str, list[str]] = {}
    for run, why in material.left_out.items():
        by_reason.setdefault(why.replace(str(run.folder), "RUN"), []).append(str(run.folder))
    rows = tuple(
        (why, str(len(its)), ", ".join(its[:3]) + (f" and {len(its) - 3} more" if len(its) > 3 else ""))
        for why, its in by_reason.items()
    )
    return Grid(f"{len(material.left_out)} runs that are left out", ("why", ">runs", "which"), rows)


def _sentence(pool: Pool, material: Material) -> str:
    if pool.comparison is not None:
        return str(pool.comparison["verdict"])
    if pool.refusal:
        return f"No comparison: {pool.refusal}"
    (one,), evidence = pool.configurations, pool.evidence
    (scores,), (interval,) = pool.top1(), pool.intervals
    videos = videos_in_words(
        split=evidence.split,
        num_videos=len(evidence.ids),
        num_groups=evidence.num_groups,
        num_ungrouped=evidence.num_ungrouped,
    )
    parts = [
        f"{one.label}: {points(scores.mean())} % top-1 ({interval_in_words(*(interval or (None, None)))})",
        f"{len(scores)} seeds" if len(scores) > 1 else "one seed, so this speaks for this checkpoint only",
        videos,
        f"{pool.leak_state} data",
    ]
    request = material.request.comparison
    chosen = dict.fromkeys(what for run in one.runs for what in flattered_by(run, request))
    return ", ".join([*parts, *([f"flattered: {' and '.join(chosen)}"] if chosen else [])])


def _scores_alone(pool: Pool, material: Material) -> Grid:
    """Scores of configurations that were not compared."""
    rows = []
    for each, scores, interval in zip(pool.configurations, pool.top1(), pool.intervals, strict=True):
        shown = " to ".join(_ends(*interval)) if interval else "-"
        rows.append((each.label, str(len(each.runs)), points(scores.mean()), shown, pool.leak_state))
    columns = ("configuration", ">seeds", ">top-1 %", ">95 % interval", "leak state")
    title = f"split: {material.request.split}, checkpoint: {material.request.checkpoint}"
    return Grid(title, columns, tuple(rows))


def _scores_chart(pool: Pool, stem: str) -> Chart:
    shown = pool.configurations[:MAX_ROWS]
    intervals = pool.intervals[:MAX_ROWS]
    seeds = pool.top1()[:MAX_ROWS]
    rows = tuple(
        (
            each.label,
            points(scores.mean()),
            *_ends(*(interval or (None, None))),
            " ".join(map(points, scores)),
        )
        for each, scores, interval in zip(shown, seeds, intervals, strict=True)
    )
    data = Grid("top-1 %", ("configuration", ">mean", ">low", ">high", "each seed"), rows)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for row, (scores, interval) in enumerate(zip(seeds, intervals, strict=True)):
            axes.plot(scores, [row] * len(scores), "o", color=GREY, alpha=0.55, markersize=2.6, zorder=2)
            if interval is not None:
                axes.plot(interval, [row, row], "-", color=COLORS[0], linewidth=1.6, zorder=3)
            axes.plot(scores.mean(), row, "D", color=COLORS[0], markersize=4, zorder=4)
        names_on(axes, [pool.names[each.label] for each in shown])
        shares_on(axes, "x")
        axes.set_xlabel(f"top-1 on {pool.evidence.split} (%)")

    left_out = len(pool.configurations) - len(shown)
    more = f" The {left_out} configurations below are in the table." if left_out else ""
    return Chart(
        stem,
        f"Top-1 on {pool.evidence.split}, {pool.leak_state} data: mean over seeds (diamond) with its 95 %"
        f" interval over seeds and groups of videos; each dot is one seed.{more}",
        f"Dot plot of {len(shown)} configurations. {_extremes(rows)}",
        (PAGE_IN, _FRAME_IN + _ROW_IN * len(shown)),
        draw,
        tuple(each.label for each in shown),
        data,
    )


def _extremes(rows: Sequence[tuple[str, ...]]) -> str:
    first, last = rows[0], rows[-1]
    said = f"{first[0]} has {first[1]} % ({first[2]} to {first[3]})"
    return f"{said}." if len(rows) == 1 else f"{said}; {last[0]} has {last[1]} % ({last[2]} to {last[3]})."


def _differences_chart(pool: Pool, stem: str) -> Chart:
    comparison = pool.comparison
    assert comparison is not None, "only what was compared has differences"
    listed_pairs = comparison["differences"][:MAX_ROWS]
    names = [f"{one['configuration']} minus {one['minus']}" for one in listed_pairs]
    rows = tuple(
        (
            name,
            points(one["value"], sign="+"),
            *(
                ("-", "-")
                if one["low"] is None
                else (points(one["low"], sign="+"), points(one["high"], sign="+"))
            ),
            one["finding"],
        )
        for name, one in zip(names, listed_pairs, strict=True)
    )
    data = Grid("points of top-1", ("difference", ">points", ">low", ">high", "finding"), rows)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
        for row, one in enumerate(listed_pairs):
            is_clear = one["p_holm"] < 0.05
            color = COLORS[1] if is_clear else GREY
            if one["low"] is not None:
                axes.plot([one["low"], one["high"]], [row, row], "-", color=color, linewidth=1.6)
            axes.plot(one["value"], row, "D" if is_clear else "o", color=color, markersize=4)
        names_on(axes, list(_pair_names(listed_pairs, pool.names)), longest=70)
        shares_on(axes, "x")
        axes.set_xlabel("points of top-1, paired on the same videos")

    num = comparison["num_comparisons"]
    corrected = f", by Holm's correction over {num} comparisons" if num > 1 else ""
    left_out = len(comparison["differences"]) - len(listed_pairs)
    more = f" {left_out} more pairs are in the table." if left_out else ""
    return Chart(
        stem,
        "Paired differences with their 95 % intervals; an orange diamond is a clear difference"
        f"{corrected}.{more}",
        f"Dot plot of {len(rows)} differences: "
        f"{'; '.join(f'{row[0]}: {row[1]} points, {row[4]}' for row in rows[:5])}.",
        (PAGE_IN, _FRAME_IN + _ROW_IN * len(rows)),
        draw,
        tuple(names),
        data,
    )


def _pair_names(pairs: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Iterator[str]:
    for one in pairs:
        first, second = (drawable(names[one[key]], longest=32) for key in ("configuration", "minus"))
        yield f"{first} − {second}"


def _ends(low: float | None, high: float | None, *, sign: Literal["", "+"] = "") -> tuple[str, str]:
    """Ends of an interval in points, or dashes where there is none."""
    return ("-", "-") if low is None or high is None else (points(low, sign=sign), points(high, sign=sign))
