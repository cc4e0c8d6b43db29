"""What would be enough evidence to tell a difference apart."""

from __future__ import annotations

from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.power import MAX_GROUPS, Plan, components_of

RECOMMENDED_SEEDS = 5
_MOST_SEEDS = 20
"""Seeds that a user may be asked to train; beyond them, more videos are better advice."""
_SEEDS = (5, 10, 20, 50)


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
        return f"{RECOMMENDED_SEEDS} seeds each would show what training varies by"
    components = components_of(effects, num_videos=num_videos, configurations=pair)
    plan = Plan(2, effects.num_groups, num_videos)
    needed = components.seeds_needed(difference, plan, alpha=alpha)
    if needed is not None and needed <= _MOST_SEEDS:
        return f"{needed} seeds each would {apart}"
    for num_seeds in _SEEDS:
        plan = Plan(num_seeds, effects.num_groups, num_videos)
        groups = components.groups_needed(difference, plan, alpha=alpha)
        if groups is not None and groups < MAX_GROUPS:
            enough = f"{num_seeds} seeds each and {groups} groups of videos would"
            if needed is None:
                return f"no number of seeds would {apart} on these videos; {enough}"
            return f"{needed} seeds each would {apart}, or {enough}"
    return f"no number of seeds would {apart} on these videos"
