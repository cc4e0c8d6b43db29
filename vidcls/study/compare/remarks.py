"""What a reader of a comparison must know besides the verdict: pure functions of the results."""

from __future__ import annotations

from collections.abc import Sequence

from vidcls.statistics.scores import NUM_BINS
from vidcls.study.compare.results import METRIC_WORDS, Comparison
from vidcls.study.intervals import ends, few_groups

_NAMED = 5


def remarks_on(found: Comparison, *, num_data: int) -> tuple[str, ...]:
    """Remarks on a comparison, one a line.

    Args:
        found: Results; their verdict and remarks are not read.
        num_data: Number of different data sets on which the runs were trained.
    """
    return tuple(
        remark
        for remark in (
            *_on_data(found),
            _on_unscored(len(found.unscored)),
            f"the runs were trained on {num_data} different data sets, so a difference may come from the data"
            if num_data > 1
            else "",
            _on_seeds(found),
            *_on_choices(found),
            _on_correction(found),
            *_on_classes(found),
            f"ECE: calibration error over {NUM_BINS} bins of one width; few videos make it too large",
        )
        if remark
    )


def _on_data(found: Comparison) -> list[str]:
    ground = found.ground
    few = few_groups(ground.num_groups, ground.unit)
    lines = [] if few is None else [few]
    if ground.unit == "videos":
        lines.append(
            "the groups of the videos are not known: if several are cut from one source, intervals are too "
            "short; `vidcls data audit` looks for them"
        )
    elif ground.num_ungrouped:
        lines.append(
            f"the group of {ground.num_ungrouped} of {ground.num_videos} videos is not known, so each of "
            "them counts as a group of its own: if several are cut from one source, intervals are too short; "
            "`vidcls data audit` looks for them"
        )
    if any(state.startswith("leaky") for state in ground.leak_states):
        lines.append(
            "the data leaks: videos that are scored have relatives in train, so this says little about new"
            " videos; `vidcls data split` makes a clean split"
        )
    if "unknown" in ground.leak_states:
        lines.append("the data was not audited: `vidcls data audit` looks for leaks")
    return lines


def _on_unscored(num: int) -> str:
    if not num:
        return ""
    return f"{num} {'video' if num == 1 else 'videos'} of the split could be scored by no run: left out"


def _on_seeds(found: Comparison) -> str:
    if all(len(one.seeds) > 1 for one in found.configurations):
        return ""
    return (
        "one seed: the interval is for this checkpoint only, over other videos; another seed gives another "
        "checkpoint, so train 5 seeds for a statement about a configuration"
    )


def _on_choices(found: Comparison) -> list[str]:
    chosen = list(dict.fromkeys(what for one in found.configurations for what in one.flattered))
    lines = []
    if chosen:
        lines.append(
            f"flattered ({'; '.join(chosen)}): scores are too high by what was chosen with their help. "
            "`--checkpoint last` (of runs with train.keep_last=true), `vidcls crossval` or `--split test` "
            "score what was not chosen there"
        )
    if len(found.configurations) > 2:
        lines.append(
            f"the highest of {len(found.configurations)} was chosen on these videos, so its own "
            f"{METRIC_WORDS[found.metric]} is too high; the differences are corrected for it"
        )
    return lines


def _on_correction(found: Comparison) -> str:
    num = len(found.configurations)
    if found.num_comparisons == 1:
        return ""
    which = f"{found.num_comparisons} comparisons (Holm)"
    if found.num_comparisons != num * (num - 1) // 2:
        which += ", those of all configurations that were scored on this test split"
    least = "" if found.margin is None else " and the p-values of the margin"
    return (
        f"p-values are corrected for {which}: of many comparisons, some look clear by chance alone, so each "
        f"needs a smaller p-value. Intervals{least} are not corrected: an interval without zero may still be "
        "no clear difference"
    )


def _on_classes(found: Comparison) -> list[str]:
    """Why classes have no interval."""
    without = [one for one in found.classes if one.estimate is None or ends(one.estimate) is None]
    named = {
        "whose videos are all in one group": [one.name for one in without if one.num_groups == 1],
        "in which all seeds and groups of videos agree, which may be chance": [
            one.name for one in without if one.num_groups > 1
        ],
    }
    return [f"no interval for classes {why}: {_listed(names)}" for why, names in named.items() if names]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
