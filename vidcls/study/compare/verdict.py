"""Verdicts in sentences that can be copied into a report: pure functions of the results.

See `results.Difference.finding` for when a difference is clear, a tie, or not known for lack of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from vidcls.statistics.estimate import Estimate
from vidcls.study.compare.results import METRIC_WORDS, Comparison, Contender, Difference
from vidcls.study.intervals import ends, interval_in_words, points, reach, videos_in_words

_NAMED = 4
_FULLY_NAMED = 2


def verdict_of(comparison: Comparison, *, outlook: str | None) -> str:
    """Verdict in one sentence, with all that it stands on.

    Args:
        comparison: Results; their verdict is not read.
        outlook: What would be enough evidence; None if that is not known.
    """
    if len(comparison.configurations) == 2:
        said, is_open = _of_two(comparison)
    else:
        said, is_open = _of_many(comparison)
    sentence = f"{said}, {conditions(comparison)}"
    return f"{sentence}; {outlook}" if is_open and outlook else sentence


def _of_two(comparison: Comparison) -> tuple[str, bool]:
    """Verdict on two configurations, and whether more evidence is needed."""
    (difference,) = comparison.differences
    first, second, found = difference.first, difference.second, difference.estimate
    unit = f"points of {METRIC_WORDS[comparison.metric]}"
    apart = f"{second} minus {first} is {points(found.value)} {unit} ({interval(found)})"
    if difference.finding == "equivalent" and comparison.margin is not None:
        within = f"{first} and {second} are equivalent within {_margin(comparison.margin)} {unit}"
        return f"{within}: {apart.replace(f' {unit}', ' points')}{_corrected(difference)}", False
    if difference.is_clear:
        winner, loser = (second, first) if found.value > 0 else (first, second)
        known = interval(found if found.value > 0 else _turned(found))
        return f"{winner} is better than {loser} by {points(abs(found.value))} {unit} ({known})", False
    if difference.finding == "tie":
        return f"tie: {apart}", False
    return f"too little evidence: {apart}{_corrected(difference)}", True


def _corrected(difference: Difference) -> str:
    """Why a difference is not called clear although its own interval excludes zero."""
    if difference.finding == "equivalent" and difference.is_clear:
        return ", a difference that is clear but small"
    if difference.estimate.is_clear and not difference.is_clear:
        return f", p = {difference.p_holm:.2f} after the correction for all comparisons"
    return ""


def _of_many(comparison: Comparison) -> tuple[str, bool]:
    """Verdict on three or more configurations, and whether more evidence is needed."""
    top, margin = comparison.configurations[0], comparison.margin
    with_top = [one for one in comparison.differences if one.second == top.label]
    clear, equivalent, ties, unsure = (
        [one for one in with_top if one.finding == finding]
        for finding in ("clear", "equivalent", "tie", "too little evidence")
    )
    num = len(comparison.configurations)
    score = f"{100 * top.scores[comparison.metric].value:.1f} % {METRIC_WORDS[comparison.metric]}"
    if len(clear) == len(with_top):
        head = f"{top.label} is the best of {num} ({score})"
    elif clear:
        head = f"{top.label} is the highest of {num} ({score})"
    else:
        head = f"no clear winner among {num}: {top.label} is the highest ({score})"
    within = "" if margin is None else f"equivalent within {_margin(margin)} points to "
    lists = (
        ("better than ", clear),
        (within, equivalent),
        ("tie with ", ties),
        ("too little evidence against ", unsure),
    )
    said = [f"{words}{_listed(found)}" for words, found in lists if found]
    return f"{head}: {'; '.join(said)}" if clear else f"{head}; {'; '.join(said)}", bool(unsure)


def _listed(found: Sequence[Difference]) -> str:
    """Up to two configurations by name; of more, their number, and what their differences have in common."""
    if len(found) <= _FULLY_NAMED:
        each = [
            f"{one.first} (by {points(one.estimate.value)} points, {reach(*_ends(one.estimate))})"
            for one in found
        ]
        return joined(each)
    estimates = [one.estimate for one in found]
    values = [one.value for one in estimates]
    reaches = [known for one in estimates if (known := ends(one)) is not None]
    by = f"by {points(min(values))} to {points(max(values))} points"
    if not reaches:
        return f"{len(found)} others ({by}, no intervals)"
    low, high = min(low for low, _ in reaches), max(high for _, high in reaches)
    return f"{len(found)} others ({by}, intervals within {reach(low, high)})"


def conditions(comparison: Comparison) -> str:
    """What a verdict stands on: seeds, videos, leaks, what was chosen on these videos, and the correction."""
    ground = comparison.ground
    parts = [
        seeds_in_words(comparison.configurations),
        videos_in_words(
            split=ground.split,
            num_videos=ground.num_videos,
            num_groups=ground.num_groups,
            num_ungrouped=ground.num_ungrouped,
        ),
        *unscored_in_words(len(comparison.unscored)),
        leaks_in_words(ground.leak_states),
        *flattered_in_words(comparison.configurations),
    ]
    if ground.checkpoint == "last":
        parts.append("last epoch")
    if comparison.looks:
        num, looks = comparison.looks["num_configurations"], comparison.looks["num_openings"]
        parts.append(f"test split opened {looks} times for {num} configurations")
    if comparison.num_comparisons > 1:
        parts.append(f"p-values corrected for {comparison.num_comparisons} comparisons")
    return ", ".join(parts)


def seeds_in_words(configurations: Sequence[Contender]) -> str:
    """Numbers of seeds, and which configurations stand for one checkpoint only."""
    nums = [len(one.seeds) for one in configurations]
    if max(nums) == 1:
        return "one seed each, so this speaks for these checkpoints only"
    if min(nums) == max(nums):
        return f"{nums[0]} seeds each"
    single = [one.label for one in configurations if len(one.seeds) == 1]
    counts = " and ".join(map(str, nums)) if len(nums) == 2 else f"{min(nums)} to {max(nums)}"
    if not single:
        return f"{counts} seeds"
    named = _named(single, f"{len(single) - _NAMED} more")
    return f"{counts} seeds, so of {named} this speaks for one checkpoint only"


def unscored_in_words(num: int) -> list[str]:
    """How many videos of the split are not in the scores; nothing if all are."""
    if not num:
        return []
    return ["one more video could not be scored" if num == 1 else f"{num} more videos could not be scored"]


def leaks_in_words(states: Sequence[str]) -> str:
    """What is known of leaks in the data, such as `clean data`."""
    words = {"clean": "clean data", "unknown": "data that was not audited for leaks"}
    return " and ".join(dict.fromkeys(words.get(state, f"leaky data ({state})") for state in states))


def flattered_in_words(configurations: Sequence[Contender]) -> list[str]:
    """What was chosen on the videos that are scored, and for which configurations, if not for all."""
    labels_of: dict[str, list[str]] = {}
    for one in configurations:
        for what in one.flattered:
            labels_of.setdefault(what, []).append(one.label)
    whats_of: dict[tuple[str, ...], list[str]] = {}
    for what, labels in labels_of.items():
        whats_of.setdefault(tuple(labels), []).append(what)
    return [
        f"flattered: {joined(whats)}"
        if len(labels) == len(configurations)
        else f"flattered: {joined(whats)} (of {_named(labels, 'others')})"
        for labels, whats in whats_of.items()
    ]


def interval(found: Estimate) -> str:
    """Interval in points, such as `95 % interval 2.0 to 10.2`, or why there is none."""
    return interval_in_words(*_ends(found))


def joined(words: Sequence[str]) -> str:
    """Words in a list, such as `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _named(labels: Sequence[str], more: str) -> str:
    return joined([*labels[:_NAMED], *([more] if len(labels) > _NAMED else [])])


def _ends(found: Estimate) -> tuple[float | None, float | None]:
    return ends(found) or (None, None)


def _margin(margin: float) -> str:
    return f"{100 * margin:g}"


def _turned(found: Estimate) -> Estimate:
    return Estimate(-found.value, found.std_error, found.dof)
