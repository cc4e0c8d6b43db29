"""Verdicts on simulated studies of known truth: coverage, false alarms, the rate of a race, power.

Each cell is one kind of study: logistic or linear effects, a seed spread of 0, 3 or 5 points, 2 to 10 seeds,
120 videos in 45 groups or 400 in 137, three configurations of which the last is better by 6 points or not.
`python -m benchmarks.verdicts --table` prints the table of the README.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import combinations, product
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

from benchmarks.common import Result, finish
from benchmarks.naive_intervals import naive_intervals
from benchmarks.simulated_studies import Design, Link, simulate
from vidcls.arrays import Floats, Ints
from vidcls.process.cores import usable_cores
from vidcls.statistics.corrections import holm
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.jackknife import jackknife
from vidcls.statistics.looks import LOOKS, beaten
from vidcls.statistics.power import Plan, VarianceComponents

NUM_STUDIES, NUM_RACES, _BATCH = 3000, 2000, 50
ALPHA, DIFFERENCE = 0.05, 0.06
LINKS: tuple[Link, ...] = ("logistic", "linear")
SEEDS, SPREADS, GROUPS = (2, 3, 5, 10), (0.0, 0.03, 0.05), (45, 137)
_ERRORS = 2.5
"""Standard errors of the simulation by which a cell may miss what was promised; there are 96 of them."""

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Cell:
    """What was found on the studies of a design, in shares.

    Attributes:
        design: Of the studies.
        mean: Coverage of the interval of a configuration.
        difference: Coverage of the interval of a difference.
        false_alarms: Studies in which Holm's correction leaves a difference between equal configurations.
        found: Studies in which the last configuration differs from the first, uncorrected.
        power: The same as predicted from the components of the variance.
        naive: Coverage of the naive intervals of that difference.
    """

    design: Design
    mean: float
    difference: float
    false_alarms: float
    found: float
    power: float
    naive: dict[str, float]


@dataclass(frozen=True)
class Race:
    """What was found on the races of a design.

    Attributes:
        design: Of the contenders, at the last look.
        false_alarms: Races in which a contender was beaten by one that is no better.
        at_each_look: The same with 5 % at each look.
        won: Races in which the best contender was left alone.
        num_seeds: Mean number of seeds of a contender.
    """

    design: Design
    false_alarms: float
    at_each_look: float
    won: float
    num_seeds: float


def cells() -> list[Design]:
    """Designs of all cells."""
    axes = product(LINKS, SPREADS, (0.0, DIFFERENCE), SEEDS, GROUPS)
    return [Design(*axis) for axis in axes]


def races() -> list[Design]:
    """Designs of all races: two and four contenders, all equal or the last one better."""
    axes = product(LINKS, SPREADS, (0.0, DIFFERENCE), (LOOKS[-1].num_seeds,), GROUPS[:1], (2, 4))
    return [Design(*axis) for axis in axes]


def effects_of(sums: Floats, sizes: Ints) -> CrossedEffects:
    """Effects of one study, from the correct answers `[G, C, J]` and the videos `[G]` of each group."""
    num_groups, num_configurations, num_seeds = sums.shape
    right = sums.reshape(num_groups, -1)
    counted = np.stack([right, np.broadcast_to(sizes[:, None], right.shape)], axis=2)
    members = np.repeat(np.arange(num_configurations), num_seeds)
    return CrossedEffects.of(jackknife(counted, lambda sums: sums[..., 0] / sums[..., 1]), members.tolist())


def measure(design: Design, num_studies: int, seed: int) -> Cell:
    """Simulate the studies of a cell and judge them."""
    rng = np.random.default_rng(seed)
    pairs = list(combinations(range(design.num_configurations), 2))
    last = pairs.index((0, design.num_configurations - 1))
    equal = [design.truths[a] == design.truths[b] for a, b in pairs]
    rows: list[tuple[bool, bool, bool, bool]] = []
    parts: list[tuple[float, float]] = []
    naive: dict[str, list[Floats]] = {}
    for _ in range(math.ceil(num_studies / _BATCH)):
        studies = simulate(design, num_studies=_BATCH, rng=rng)
        for sums, sizes in zip(*studies.group_sums(design.num_groups), strict=True):
            effects = effects_of(sums, sizes)
            mean = effects.mean(0)
            differences = [effects.difference(*pair) for pair in pairs]
            p_values = [difference.p_value for difference in differences]
            wrong = any(p <= ALPHA and same for p, same in zip(holm(p_values), equal, strict=True))
            covered = _covers(mean, design.truths[0]), _covers(differences[last], design.difference)
            rows.append((*covered, wrong, p_values[last] <= ALPHA))
            group_part = effects.group_parts(*np.array([pairs[last]]).T)
            parts.append((float((effects.run_variance - effects.within).mean()), float(group_part[0])))
        for name, ends in naive_intervals(studies, design.num_groups, rng=rng).items():
            inside = (ends[:, 0] <= design.difference) & (design.difference <= ends[:, 1])
            naive.setdefault(name, []).append(inside.astype(np.float64))
    mean_covered, difference_covered, alarms, rejected = np.mean(rows, axis=0).tolist()
    return Cell(
        design,
        mean=mean_covered,
        difference=difference_covered,
        false_alarms=alarms,
        found=rejected,
        power=_predicted(parts, design),
        naive={name: float(np.concatenate(inside).mean()) for name, inside in naive.items()},
    )


def _covers(estimate: Estimate, truth: float) -> bool:
    return bool(estimate.low <= truth <= estimate.high)


def _predicted(parts: Sequence[tuple[float, float]], design: Design) -> float:
    """Power by the true components; those of videos and groups are means over all studies."""
    noise, groups = np.mean(parts, axis=0).tolist()
    components = VarianceComponents(
        design.seed_spread**2, noise * design.videos, max(0.0, groups) * design.num_groups
    )
    plan = Plan(design.num_seeds, design.num_groups, design.videos)
    return components.power(design.difference, plan, alpha=ALPHA)


def run_races(design: Design, num_races: int, seed: int) -> Race:
    """Simulate races, each on one study whose seeds come one after the other."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[bool, bool, bool, float]] = []
    for _ in range(math.ceil(num_races / _BATCH)):
        studies = simulate(design, num_studies=_BATCH, rng=rng)
        for sums, sizes in zip(*studies.group_sums(design.num_groups), strict=True):
            wrong, left, num_seeds = _race(sums, sizes, design.truths, [look.alpha for look in LOOKS])
            naive, _, _ = _race(sums, sizes, design.truths, [ALPHA] * len(LOOKS))
            rows.append((wrong, naive, left == [design.num_configurations - 1], num_seeds))
    return Race(design, *np.mean(rows, axis=0).tolist())


def _race(
    sums: Floats, sizes: Ints, truths: Floats, alphas: Sequence[float]
) -> tuple[bool, list[int], float]:
    """Whether a verdict was wrong, who is left, and the mean number of seeds of a contender."""
    contenders, spent, wrong = list(range(sums.shape[1])), 0, False
    trained = 0
    for look, alpha in zip(LOOKS, alphas, strict=True):
        spent += len(contenders) * (look.num_seeds - trained)
        trained = look.num_seeds
        effects = effects_of(sums[:, :, :trained], sizes)
        losers = beaten(effects, contenders=contenders, alpha=alpha)
        wrong |= any(truths[winner] <= truths[loser] for loser, winner in losers.items())
        contenders = [one for one in contenders if one not in losers]
        if len(contenders) == 1:
            break
    return wrong, contenders, spent / sums.shape[1]


def _all(
    measured: Callable[[Design, int, int], _Found], designs: Sequence[Design], num_studies: int
) -> list[_Found]:
    """Measure designs on all cores; each has its own seed."""
    context = get_context("spawn")
    with ProcessPoolExecutor(usable_cores(), mp_context=context) as pool:
        return list(pool.map(measured, designs, [num_studies] * len(designs), range(len(designs))))


def run() -> list[Result]:
    """Measure all cells and races."""
    return results(_all(measure, cells(), NUM_STUDIES), _all(run_races, races(), NUM_RACES))


def results(found: Sequence[Cell], raced: Sequence[Race]) -> list[Result]:
    """The four claims."""
    covered = [share for cell in found for share in (cell.mean, cell.difference)]
    alarms, race = max(cell.false_alarms for cell in found), max(one.false_alarms for one in raced)
    errors = [abs(cell.power - cell.found) for cell in found]
    size = f"{len(found)} cells of {NUM_STUDIES} studies"
    return [
        Result(
            "verdicts: coverage of 95 % intervals, least and most",
            f"{min(covered):.1%} to {max(covered):.1%}",
            "93 to 97 % but for the error of the simulation",
            min(covered) >= 0.93 - _error(0.93, NUM_STUDIES)
            and max(covered) <= 0.97 + _error(0.97, NUM_STUDIES),
            f"{size}; {sum(0.93 <= share <= 0.97 for share in covered)} of {len(covered)} means and "
            "differences are within it",
        ),
        Result(
            "verdicts: false alarms after Holm's correction, most",
            f"{alarms:.1%}",
            "5 % but for the error of the simulation",
            alarms <= ALPHA + _error(ALPHA, NUM_STUDIES),
            f"{size}; mean {np.mean([cell.false_alarms for cell in found]):.1%}",
        ),
        Result(
            "verdicts: false alarms of a race over its looks, most",
            f"{race:.1%}",
            "5 % but for the error of the simulation",
            race <= ALPHA + _error(ALPHA, NUM_RACES),
            f"{len(raced)} cells of {NUM_RACES} races; {max(one.at_each_look for one in raced):.1%} with 5 % "
            "at each look",
        ),
        Result(
            "verdicts: power, largest error of the prediction",
            f"{100 * max(errors):.1f} points",
            "3 points but for the error of the simulation",
            all(
                error <= 0.03 + _error(cell.power, NUM_STUDIES)
                for error, cell in zip(errors, found, strict=True)
            ),
            f"{size}; mean {100 * float(np.mean(errors)):.1f}",
        ),
    ]


def _error(share: float, num_studies: int) -> float:
    return _ERRORS * math.sqrt(share * (1 - share) / num_studies)


def tables(found: Sequence[Cell], raced: Sequence[Race]) -> str:
    """Both tables of the README, in Markdown: least and most of all cells, in percent."""
    naive = list(found[0].naive)
    heads = ("seeds", "spread", "a configuration", "a difference", "false alarms", *naive)
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for num_seeds, spread in product(SEEDS, SPREADS):
        of = [c for c in found if (c.design.num_seeds, c.design.seed_spread) == (num_seeds, spread)]
        columns = [[c.mean for c in of], [c.difference for c in of], [c.false_alarms for c in of]]
        columns += [[c.naive[name] for c in of] for name in naive]
        shown = (f"{100 * min(column):.0f} to {100 * max(column):.0f}" for column in columns)
        exact = (f"{100 * min(column):.1f} to {100 * max(column):.1f}" for column in columns[:3])
        lines.append(f"| {num_seeds} | {100 * spread:.0f} | " + " | ".join([*exact, *list(shown)[3:]]) + " |")
    heads = ("contenders", "best by", "false alarms", "with 5 % at each look", "the best is left", "seeds")
    lines += ["", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for num, difference in product((2, 4), (0.0, DIFFERENCE)):
        raw = [r for r in raced if (r.design.num_configurations, r.design.difference) == (num, difference)]
        rates = [[r.false_alarms for r in raw], [r.at_each_look for r in raw], [r.won for r in raw]]
        shown = (f"{100 * min(rate):.1f} to {100 * max(rate):.1f}" for rate in rates)
        seeds = f"{min(r.num_seeds for r in raw):.1f} to {max(r.num_seeds for r in raw):.1f}"
        lines.append(f"| {num} | {100 * difference:.0f} | " + " | ".join([*shown, seeds]) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print the tables, or the claims alone."""
    found = _all(measure, cells(), NUM_STUDIES)
    raced = _all(run_races, races(), NUM_RACES)
    if "--table" in sys.argv[1:]:
        print(tables(found, raced))
    return finish(results(found, raced))


if __name__ == "__main__":
    sys.exit(main())
