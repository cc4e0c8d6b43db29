"""What would be enough evidence to tell a difference apart: the answer of `vidcls power` for these two."""

from __future__ import annotations

from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.power import POWER, components_of
from vidcls.study import power


def outlook(
    effects: CrossedEffects, pair: tuple[int, int], *, num_videos: int, difference: float, alpha: float
) -> str:
    """How many seeds, or groups, would tell a difference of two configurations apart in 80 % of studies.

    Args:
        effects: Means and variances.
        pair: Numbers of the two configurations.
        num_videos: Number of videos that their runs were scored on.
        difference: Difference to tell apart, as a share.
        alpha: P-value below which a verdict is clear.
    """
    apart = f"tell {100 * difference:g} points apart"
    if effects.num_seeds[list(pair)].min() < 2:
        return f"{power.RECOMMENDED_SEEDS} seeds each would show what training varies by"
    components = components_of(effects, num_videos=num_videos, configurations=pair)
    if not components.seed + components.video + components.group:
        return "more videos in more groups would show what these runs vary by"
    ground = power.Ground(
        components=components,
        num_groups=effects.num_groups,
        num_videos=num_videos,
        videos_per_group=num_videos / effects.num_groups,
        source="these runs",
    )
    question = power.Question(
        difference=difference, power=POWER, alpha=alpha, num_seeds=None, num_groups=None, num_videos=None
    )
    found = power.answer(ground, question)
    if found.plan is not None and found.plan.num_seeds <= effects.num_seeds[list(pair)].min():
        return f"these seeds are enough to {apart}, but too few for a smaller difference"
    if found.plan is not None:
        return f"{found.plan.num_seeds} seeds each would {apart}"
    said = f"no number of seeds would {apart} on these videos"
    if found.instead is None:
        return said
    return (
        f"{said}; {found.instead.num_seeds} seeds each and {found.instead.num_groups} groups of videos would"
    )
