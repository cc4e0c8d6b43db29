"""How many seeds, groups and videos a claim needs, by the variances of existing runs or by given ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vidcls.choices import Split
from vidcls.errors import UserError
from vidcls.run.folder import Checkpoint, Run
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.power import MAX_GROUPS, MAX_SEEDS, Plan, VarianceComponents, components_of
from vidcls.statistics.scores import Answers, top1
from vidcls.study.compare.refusals import comparable_evidence
from vidcls.study.compare.verdict import leaks_in_words
from vidcls.study.configurations import configurations_of
from vidcls.study.evidence import record_looks
from vidcls.study.intervals import FEW_GROUPS, videos_in_words

RECOMMENDED_SEEDS = 5
_SEEDS = (2, 3, 5, 8, 10, 20)
_MORE_SEEDS = (5, 8, 10, 15, 20, 30, 50)
_GROUP_FACTORS = (0.5, 1, 2, 4)


@dataclass(frozen=True)
class Ground:
    """What a plan stands on.

    Attributes:
        components: Components of the variance of a difference in top-1, as shares.
        num_groups: Groups of the videos that exist; None if no video exists.
        num_videos: Those videos; None if no video exists.
        videos_per_group: Mean number of videos of a group.
        source: Where the variances come from, in words.
        warning: What makes the variances uncertain; empty if nothing does.
        left_out: Labels of configurations with a single seed, which say nothing about the spread over seeds.
    """

    components: VarianceComponents
    num_groups: int | None
    num_videos: int | None
    videos_per_group: float
    source: str
    warning: str = ""
    left_out: tuple[str, ...] = ()

    def as_points(self) -> dict[str, float]:
        """Components in the units of the command's options: points, and percent of the videos."""
        return {
            "seed_sd": 100 * math.sqrt(self.components.seed),
            "group_sd": 100 * math.sqrt(self.components.group),
            "disagreement": 200 * self.components.video,
        }


@dataclass(frozen=True)
class Answer:
    """Study that a claim needs.

    Attributes:
        plan: Smallest study that is enough, or the study that was asked about; None if none is enough.
        power: Its power; of the largest study that was tried, if none is enough.
        tried: What was asked about: all but what was searched for.
        searched: What was searched for: `seeds`, `groups`, or nothing if the whole plan was given.
        instead: A study that is enough, with more groups, and with more seeds if need be; None if `plan` is.
    """

    plan: Plan | None
    power: float
    tried: Plan
    searched: str
    instead: Plan | None = None


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        difference: True difference in top-1, as a share.
        power: Probability with which it is to be found.
        alpha: Level of the test of one comparison.
        num_seeds: Seeds of each configuration, if fixed.
        num_groups: Groups of videos, if fixed.
        num_videos: Videos, if fixed.
    """

    difference: float
    power: float
    alpha: float
    num_seeds: int | None
    num_groups: int | None
    num_videos: int | None


def given_ground(*, seed_sd: float, group_sd: float, disagreement: float) -> Ground:
    """Variances that the user gives.

    Args:
        seed_sd: Standard deviation of top-1 over seeds, as it would be on endless videos, in points.
        group_sd: Standard deviation over groups of the difference of two configurations, in points.
        disagreement: Percentage of videos that one seed of a configuration gets right and another one wrong.
    """
    # Two answers that are right with probability p each differ with probability 2 p (1 - p).
    components = VarianceComponents((seed_sd / 100) ** 2, disagreement / 200, (group_sd / 100) ** 2)
    return Ground(components, None, None, 1.0, "as given")


def measured_ground(
    runs: Sequence[Run], split: Split, *, checkpoint: Checkpoint, across_data: bool = False
) -> Ground:
    """Variances of top-1 of runs, from their stored predictions.

    Args:
        runs: Runs of two or more configurations, of which two or more have two or more seeds.
        split: Split of the predictions. A look at test is recorded.
        checkpoint: Checkpoint of the predictions.
        across_data: Accept runs of different data that scored the same videos.

    Raises:
        UserError: If there are too few configurations, seeds or groups, or the runs cannot be compared, for
            the same reasons as in `vidcls compare`.
    """
    configurations = configurations_of(runs)
    repeated = [one for one in configurations if len(one.seeds) > 1]
    if len(repeated) < 2:
        found = "\n".join(f"  {one.label}: {_counted(len(one.seeds), 'seed')}" for one in configurations)
        raise UserError(
            f"power needs two configurations or more, with two seeds or more each; found\n{found}",
            hint="train them with other seeds too (seed=1), or give --seed-sd, --group-sd and --disagreement",
        )
    members = [(number, run) for number, one in enumerate(repeated) for run in one.runs]
    used = [run for _, run in members]
    evidence = comparable_evidence(used, split, checkpoint=checkpoint, across_data=across_data)
    record_looks(used, split, checkpoint=checkpoint)
    statistic = top1(Answers.of(evidence.logits, evidence.labels), evidence.groups)
    effects = CrossedEffects.of(statistic, [number for number, _ in members])
    seeds = sorted({len(one.seeds) for one in repeated})
    counted = f"{seeds[0]} seeds each" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds each"
    videos = videos_in_words(
        split=split,
        num_videos=len(evidence.ids),
        num_groups=evidence.num_groups,
        num_ungrouped=evidence.num_ungrouped,
    )
    leaks = leaks_in_words([each.leak_state for each in evidence.runs])
    return Ground(
        components=components_of(effects, num_videos=len(evidence.ids)),
        num_groups=evidence.num_groups,
        num_videos=len(evidence.ids),
        videos_per_group=len(evidence.ids) / evidence.num_groups,
        source=f"{len(repeated)} configurations with {counted}, {videos}, {leaks}",
        warning=_few(evidence.num_groups, evidence.unit),
        left_out=tuple(one.label for one in configurations if len(one.seeds) < 2),
    )


def _few(num_groups: int, unit: str) -> str:
    """What must be said of variances of few groups; nothing if there are enough."""
    if num_groups >= FEW_GROUPS:
        return ""
    return f"only {num_groups} {unit}: variances of fewer than {FEW_GROUPS} are rough, and so is this answer"


def answer(ground: Ground, question: Question) -> Answer:
    """Search for what the question leaves open.

    Seeds are searched for, unless they are fixed; then groups are, unless groups or videos are fixed too.

    Raises:
        UserError: If the number of videos is not known.
    """
    parts, size = ground.components, {"alpha": question.alpha, "power": question.power}
    plan = _plan(ground, question)
    if question.num_seeds is None:
        num = parts.seeds_needed(question.difference, plan, **size)
        if num is not None:
            plan = replace(plan, num_seeds=num)
            return Answer(plan, _power(ground, question, plan), plan, "seeds")
        most = replace(plan, num_seeds=MAX_SEEDS)
        return Answer(None, _power(ground, question, most), most, "seeds", _instead(ground, question, plan))
    if question.num_groups is not None or question.num_videos is not None:
        return Answer(plan, _power(ground, question, plan), plan, "")
    needed = parts.groups_needed(question.difference, plan, **size)
    if needed is not None:
        plan = _with_groups(plan, needed)
        return Answer(plan, _power(ground, question, plan), plan, "groups")
    tried = _with_groups(plan, MAX_GROUPS)
    return Answer(None, _power(ground, question, tried), tried, "groups", _instead(ground, question, plan))


def power_table(ground: Ground, question: Question, found: Answer) -> list[dict[str, Any]]:
    """Power for several numbers of seeds and groups around the answer: a row for each study."""
    around = found.tried if found.searched == "seeds" else found.plan or found.instead or found.tried
    named = [each for each in (found.plan, found.instead) if each is not None]
    seeds = sorted({*_SEEDS, *(each.num_seeds for each in named)})
    counts = [max(2, round(factor * around.num_groups)) for factor in _GROUP_FACTORS]
    groups = sorted({*counts, *(each.num_groups for each in named)})
    plans = [Plan(seed, num, _videos(num, around)) for seed in seeds for num in groups]
    return [
        {
            "seeds": plan.num_seeds,
            "groups": plan.num_groups,
            "videos": plan.num_videos,
            "power": _power(ground, question, plan),
        }
        for plan in plans
    ]


def _plan(ground: Ground, question: Question) -> Plan:
    """Study with what is fixed, and what exists for the rest."""
    groups, videos = question.num_groups, question.num_videos
    if groups is None and videos is None:
        groups, videos = ground.num_groups, ground.num_videos
        if groups is None and question.num_seeds is not None:
            groups = videos = 2
    if groups is None and videos is None:
        raise UserError("how many videos are there?", hint="give --videos and --groups, or fix --seeds")
    if groups is None:
        assert videos is not None
        groups = max(2, round(videos / ground.videos_per_group))
    if videos is None:
        videos = round(groups * ground.videos_per_group)
    if not 2 <= groups <= videos:
        raise UserError(
            f"{videos} videos cannot be in {groups} groups: there must be two groups or more, and a video in "
            "each",
            hint="change --groups or --videos",
        )
    return Plan(question.num_seeds or RECOMMENDED_SEEDS, groups, videos)


def _instead(ground: Ground, question: Question, plan: Plan) -> Plan | None:
    """Study that is enough: few seeds, unless they ask for many more groups than many seeds do."""
    found = []
    for num in (seeds for seeds in (*_MORE_SEEDS, MAX_SEEDS) if seeds >= plan.num_seeds):
        needed = ground.components.groups_needed(
            question.difference, replace(plan, num_seeds=num), alpha=question.alpha, power=question.power
        )
        if needed is not None:
            found.append(_with_groups(replace(plan, num_seeds=num), needed))
    least = min((each.num_groups for each in found), default=0)
    return next((each for each in found if each.num_groups <= 2 * least), None)


def _with_groups(plan: Plan, num_groups: int) -> Plan:
    """The plan with another number of groups of the same mean size."""
    return Plan(plan.num_seeds, num_groups, _videos(num_groups, plan))


def _videos(num_groups: int, plan: Plan) -> int:
    """Videos in so many groups of the plan's mean size."""
    return max(num_groups, round(num_groups * plan.num_videos / plan.num_groups))


def _power(ground: Ground, question: Question, plan: Plan) -> float:
    return ground.components.power(question.difference, plan, alpha=question.alpha)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"
