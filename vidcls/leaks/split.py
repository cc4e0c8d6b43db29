"""Group splits: no group crosses splits, classes are as proportional as whole groups allow; seeded, stable.

There are two integer programs (HiGHS, through scipy). The first one computes the target number of videos of
every class in every split, so that classes and splits both add up. The second one assigns whole groups to
splits with the smallest deviation from these targets. Among assignments with equal deviation it takes the one
nearest to a random draw that depends only on the name of the group and the seed. So new videos move few other
videos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint

from vidcls.arrays import Floats, Ints
from vidcls.choices import SPLITS, Split
from vidcls.errors import UserError
from vidcls.leaks.milp import side_by_side, solve

# Costs of an assignment: each missing or excess video of a class in a split, each such video beyond the
# first, and each class without a video in a split.
_MISSED, _MISSED_MORE, _LACKING = 1.0, 10.0, 5.0
_TOLERANCE = 1e-6


def group_split(
    labels: Sequence[int],
    groups: Sequence[str],
    *,
    sizes: Mapping[Split, float] | Mapping[Split, int],
    seed: int,
    keep: Mapping[str, Split] | None = None,
) -> list[Split]:
    """Assign whole groups to splits, with every class in proportion.

    The order of the videos has no effect.

    Args:
        labels: Label of each video.
        groups: Group of each video.
        sizes: Requested splits: shares that add up to 1 (floats), or numbers of videos that add up to all
            (integers). Whole groups may not reach them exactly.
        seed: Seed of the draw.
        keep: Fixed splits of some groups; names of unknown groups are ignored.

    Returns:
        Split of each video.

    Raises:
        UserError: If the sizes do not add up, or there are fewer groups than splits.
    """
    splits = tuple(split for split in SPLITS if split in sizes)
    fixed = {group: split for group, split in (keep or {}).items() if group in set(groups)}
    if absent := sorted({split for split in fixed.values() if split not in splits}):
        raise UserError(f"sizes: no size for {', '.join(absent)}, but --keep puts videos there")
    wanted = _wanted([sizes[split] for split in splits], num_videos=len(labels))
    indices = {group: splits.index(split) for group, split in fixed.items()}
    return [splits[part] for part in _assign(labels, groups, wanted, seed=seed, fixed=indices)]


def group_folds(labels: Sequence[int], groups: Sequence[str], *, num_folds: int, seed: int) -> list[int]:
    """Fold number, from 0, of each video: folds of equal size as in `group_split`, each is val once.

    Raises:
        UserError: If there are fewer groups than folds.
    """
    wanted = _wanted([1 / num_folds] * num_folds, num_videos=len(labels))
    return _assign(labels, groups, wanted, seed=seed, fixed={}, are_folds=True)


def _wanted(sizes: Sequence[float], *, num_videos: int) -> Ints:
    """Target number of videos of each part; the numbers add up to all videos."""
    total = sum(sizes)
    shown = " + ".join(f"{size:g}" for size in sizes)
    if any(size <= 0 for size in sizes):
        raise UserError(f"sizes: every size must be above 0, got {shown}")
    if all(isinstance(size, int) for size in sizes):
        if total != num_videos:
            raise UserError(f"sizes: {shown} = {total}, but there are {num_videos} videos")
        return np.array(sizes, dtype=np.int64)
    if abs(total - 1) > _TOLERANCE:
        raise UserError(
            f"sizes: the shares {shown} add up to {total:g}, not to 1",
            hint="shares such as 0.8,0.2, or numbers of videos such as train=320,val=80",
        )
    return _rounded(np.array(sizes) * num_videos, num_videos)


def _rounded(exact: Floats, total: int) -> Ints:
    """Round to whole numbers that add up to `total`; the largest remainders are rounded up."""
    whole = np.floor(exact + _TOLERANCE).astype(np.int64)
    short = total - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:short]] += 1
    return whole


def _assign(
    labels: Sequence[int],
    groups: Sequence[str],
    wanted: Ints,
    *,
    seed: int,
    fixed: Mapping[str, int],
    are_folds: bool = False,
) -> list[int]:
    """Part of each video; part s should have `wanted[s]` videos."""
    names = sorted(set(groups))
    if len(names) < len(wanted):
        raise UserError(
            f"{len(names)} groups cannot be divided into {len(wanted)} splits without cutting a group"
        )
    row_of = {name: row for row, name in enumerate(names)}
    classes, columns = np.unique(np.asarray(labels, dtype=np.int64), return_inverse=True)
    content = np.zeros((len(names), len(classes)), dtype=np.int64)
    for group, column in zip(groups, columns, strict=True):
        content[row_of[group], column] += 1
    draws = np.array([_draw(name, seed) for name in names])
    if are_folds:
        part_of = _give_folds(content, len(wanted), draws)
    else:
        targets = _class_targets(content.sum(axis=0), wanted)
        pinned = {row_of[name]: part for name, part in fixed.items()}
        part_of = _give_groups(content, targets, draws=draws, fixed=pinned)
    return [int(part_of[row_of[group]]) for group in groups]


def _draw(group: str, seed: int) -> float:
    """Number from 0 to 1 that depends only on the group's name and the seed."""
    digest = hashlib.sha256(f"split {seed}\n{group}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _class_targets(totals: Ints, wanted: Ints) -> Ints:
    """Target number of videos of each class in each part `[C, S]`, integers that add up both ways.

    The integers are as close to proportional as possible.

    Args:
        totals: Number of videos of each class `[C]`.
        wanted: Number of videos of each part `[S]`.
    """
    num_classes, num_parts = len(totals), len(wanted)
    num_cells = num_classes * num_parts
    exact = np.outer(totals, wanted / wanted.sum()).ravel()
    cells = sparse.identity(num_cells)
    rows = sparse.kron(sparse.identity(num_classes), np.ones((1, num_parts)))
    sums = sparse.kron(np.ones((1, num_classes)), sparse.identity(num_parts))
    # Variables: the numbers, the deviation of each from its proportion, whether it is 0.
    constraints = [
        LinearConstraint(side_by_side([rows, None, None], num_cells), totals, totals),
        LinearConstraint(side_by_side([sums, None, None], num_cells), wanted, wanted),
        LinearConstraint(side_by_side([cells, -cells, None], num_cells), -np.inf, exact),
        LinearConstraint(side_by_side([cells, cells, None], num_cells), exact, np.inf),
        LinearConstraint(side_by_side([cells, None, cells], num_cells), 1, np.inf),
    ]
    tie = 1e-4 * np.cos(np.arange(num_cells))  # so that rounding down is not always left to the later classes
    cost = np.concatenate([tie, np.full(num_cells, _MISSED), np.full(num_cells, _LACKING)])
    best = solve(
        cost,
        constraints=constraints,
        integrality=np.concatenate([np.ones(num_cells), np.zeros(2 * num_cells)]),
        bounds=Bounds(0, np.inf),
    )
    if best is None:  # then round each class alone; the splits may not add up
        shares = exact.reshape(num_classes, num_parts)
        return np.stack([_rounded(share, int(total)) for share, total in zip(shares, totals, strict=True)])
    return np.asarray(np.rint(best[:num_cells]), dtype=np.int64).reshape(num_classes, num_parts)


def _give_folds(content: Ints, num_folds: int, draws: Floats) -> Ints:
    """Fold of each group, as in `_give_groups`, with folds of about equal size, one fold after another.

    Solved together, folds would be interchangeable and the search would not end.
    """
    fold_of = np.full(len(content), num_folds - 1, dtype=np.int64)
    left = np.arange(len(content))
    for fold in range(num_folds - 1):
        # Targets are proportions of the remaining videos, so later folds balance the deviations of this one.
        others = num_folds - fold - 1
        totals = content[left].sum(axis=0)
        total = int(totals.sum())
        sizes = _rounded(np.array([1, others]) * total / (1 + others), total)
        targets = _class_targets(totals, sizes)
        start = fold / num_folds
        within = np.clip((draws[left] - start) / (1 - start), 0, 1)
        is_other = _give_groups(content[left], targets, draws=within, fixed={}, least=(1, others)) == 1
        fold_of[left[~is_other]] = fold
        left = left[is_other]
    return fold_of


def _give_groups(
    content: Ints,
    targets: Ints,
    *,
    draws: Floats,
    fixed: Mapping[int, int],
    least: Sequence[int] | None = None,
) -> Ints:
    """Part of each group `[G]`.

    Args:
        content: Number of videos of each group and class `[G, C]`.
        targets: Target number of videos of each class and part `[C, S]`.
        draws: Number from 0 to 1 for each group, which gives its preferred part.
        fixed: Part of groups that are already assigned.
        least: Minimum number of groups in each part; enough groups must be free.
    """
    num_groups, num_parts = len(content), targets.shape[1]
    num_choices = num_groups * num_parts
    constraints, cost = _constraints(content, targets)
    low, high = np.zeros(len(cost)), np.full(len(cost), np.inf)
    high[:num_choices] = 1
    for group, part in fixed.items():
        low[group * num_parts + part] = 1
    settings = {
        "integrality": np.concatenate([np.ones(num_choices), np.zeros(len(cost) - num_choices)]),
        "bounds": Bounds(low, high),
    }
    if least is not None:
        counts = sparse.kron(np.ones((1, num_groups)), sparse.identity(num_parts))
        constraints.append(
            LinearConstraint(side_by_side([counts, None], [num_choices, len(cost) - num_choices]), least)
        )
    best = solve(cost, constraints=constraints, **settings)
    if best is None:
        return _give_greedily(content, targets, draws=draws, fixed=fixed, least=least or [0] * num_parts)
    as_good = LinearConstraint(sparse.csr_array(cost[None]), -np.inf, cost @ best + _TOLERANCE)
    wish = np.concatenate([_distances(draws, targets.sum(axis=0)).ravel(), np.zeros(len(cost) - num_choices)])
    nearest = solve(wish, constraints=[*constraints, as_good], gap=0.02, **settings)
    chosen = best if nearest is None else nearest
    return np.asarray(chosen[:num_choices].reshape(num_groups, num_parts).argmax(axis=1), dtype=np.int64)


def _give_greedily(
    content: Ints, targets: Ints, *, draws: Floats, fixed: Mapping[int, int], least: Sequence[int]
) -> Ints:
    """Greedy version of `_give_groups`: largest groups first, each to the part that needs most of it."""
    num_parts = targets.shape[1]
    distances = _distances(draws, targets.sum(axis=0))
    part_of = np.full(len(content), -1, dtype=np.int64)
    missing = targets.copy()
    short = np.array(least)
    order = sorted(range(len(content)), key=lambda group: (group not in fixed, -content[group].sum(), group))
    for index, group in enumerate(order):
        spilt = np.maximum(content[group][:, None] - np.maximum(missing, 0), 0).sum(axis=0)
        if len(order) - index <= np.maximum(short, 0).sum():  # the rest must go to parts below their minimum
            spilt = np.where(short > 0, spilt, np.iinfo(np.int64).max)
        part = fixed.get(group, min(range(num_parts), key=lambda part: (spilt[part], distances[group, part])))
        part_of[group] = part
        missing[:, part] -= content[group]
        short[part] -= 1
    return part_of


def _constraints(content: Ints, targets: Ints) -> tuple[list[LinearConstraint], Floats]:
    """Second program without its tie-break: constraints, and the cost of each variable.

    Variables: group g in part s; deviation of class c in part s; deviation beyond the first video; whether
    the part lacks the class; deviation of part s.
    """
    num_groups, num_parts, num_cells = len(content), targets.shape[1], targets.size
    parts, cells = sparse.identity(num_parts), sparse.identity(num_cells)
    widths = (num_groups * num_parts, num_cells, num_cells, num_cells, num_parts)
    held = sparse.kron(content.T, parts)
    has = sparse.kron((content.T > 0).astype(np.int64), parts)
    size = sparse.kron(content.sum(axis=1)[None], parts)
    one = sparse.kron(sparse.identity(num_groups), np.ones((1, num_parts)))
    wanted, totals = targets.ravel(), targets.sum(axis=0)

    def rows(*blocks: sparse.sparray | None) -> sparse.csr_array:
        return side_by_side(blocks, widths)

    constraints = [
        LinearConstraint(rows(one, None, None, None, None), 1, 1),
        LinearConstraint(rows(held, -cells, None, None, None), -np.inf, wanted),
        LinearConstraint(rows(held, cells, None, None, None), wanted, np.inf),
        LinearConstraint(rows(None, cells, -cells, None, None), -np.inf, 1),
        LinearConstraint(rows(has, None, None, cells, None), 1, np.inf),
        LinearConstraint(rows(size, None, None, None, -parts), -np.inf, totals),
        LinearConstraint(rows(size, None, None, None, parts), totals, np.inf),
    ]
    prices = (0.0, _MISSED, _MISSED_MORE, _LACKING, _MISSED)
    return constraints, np.repeat(prices, widths)


def _distances(draws: Floats, sizes: Ints) -> Floats:
    """Distance of each draw from the interval within 0 to 1 of each part `[G, S]`."""
    ends = np.cumsum(sizes) / sizes.sum()
    starts = ends - sizes / sizes.sum()
    below = starts[None] - draws[:, None]
    above = draws[:, None] - ends[None]
    return np.asarray(np.maximum(0, np.maximum(below, above)), dtype=np.float64)
