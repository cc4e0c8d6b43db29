"""Search: which settings mattered, and all configurations as parallel coordinates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vidcls.study.compare.tables import Grid
from vidcls.study.intervals import points
from vidcls.study.report.document import Axis, Block, Chart, Coordinates, Section, Text
from vidcls.study.report.material import Material, Pool, settings_of_configuration
from vidcls.study.report.writers.charts import COLORS, COLUMN_IN, names_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_CONFIGURATIONS = 8
"""Smallest number of configurations whose settings are called important or not."""
_MAX_AXES = 9
_SPREAD = 20.0
"""Ratio of the largest to the smallest value from which a quantity is drawn by its logarithm."""


def search(material: Material) -> Section | None:
    """Settings of the pool with the most runs; None if it has too few configurations."""
    pool = material.pools[0]
    if len(pool.configurations) < MIN_CONFIGURATIONS:
        return None
    settings = [settings_of_configuration(each) for each in pool.configurations]
    varying = _varying(settings)
    if not varying:
        return None
    scores = [float(each.mean()) for each in pool.top1()]
    blocks: list[Block] = []
    importance = _importance(settings, varying, scores)
    if importance:
        blocks.append(_importance_chart(importance, num=len(scores), split=pool.evidence.split))
    else:
        blocks.append(Text(("Importances are not shown: no setting is set in all of these configurations.",)))
    shown = [name for name in (*importance, *varying) if name in varying]
    shown = list(dict.fromkeys(shown))[:_MAX_AXES]
    blocks.append(_coordinates(pool, settings, shown, scores))
    return Section("search", "Settings", tuple(blocks))


def _varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settings with several plain values; those that follow from another, value by value, are left out."""
    names = dict.fromkeys(name for each in settings for name in each)
    kept: dict[tuple[int, ...], str] = {}
    for name in names:
        values = [each.get(name) for each in settings]
        if any(isinstance(value, list | dict) for value in values):
            values = [None if value is None else str(value) for value in values]
        order = list(dict.fromkeys(values))
        if len(order) > 1:
            kept.setdefault(tuple(order.index(value) for value in values), name)
    return list(kept.values())


def _importance(
    settings: Sequence[Mapping[str, Any]], varying: Sequence[str], scores: Sequence[float]
) -> dict[str, float]:
    """Share of the variance of the score that each setting explains, largest first; they add up to 1.

    Functional ANOVA of a random forest (Hutter, Hoos, Leyton-Brown 2014, ICML), as Optuna computes it.
    """
    import optuna

    everywhere = [name for name in varying if all(each.get(name) is not None for each in settings)]
    if not everywhere or len(set(scores)) < 2:
        return {}
    distributions = {name: _distribution([each[name] for each in settings]) for name in everywhere}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for each, score in zip(settings, scores, strict=True):
        point = {name: _value(each[name], distributions[name]) for name in everywhere}
        study.add_trial(optuna.create_trial(params=point, distributions=distributions, value=score))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _distribution(values: Sequence[Any]) -> Any:
    import optuna

    if all(map(_is_number, values)):
        low, high = float(min(values)), float(max(values))
        return optuna.distributions.FloatDistribution(low, high, log=_is_spread(values))
    choices = tuple(sorted({str(value) for value in values}))
    return optuna.distributions.CategoricalDistribution(choices)


def _value(value: Any, distribution: Any) -> Any:
    import optuna

    if isinstance(distribution, optuna.distributions.FloatDistribution):
        return float(value)
    return str(value)


def _is_spread(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > _SPREAD * min(values)


def _importance_chart(importance: Mapping[str, float], *, num: int, split: str) -> Chart:
    names = list(importance)[:_MAX_AXES]
    rows = tuple((name, points(share)) for name, share in importance.items())

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values = [100 * importance[name] for name in names]
        bars = axes.barh(range(len(names)), values, color=COLORS[0], height=0.65)
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=7)
        names_on(axes, names)
        axes.set_xlim(0, 1.12 * max(values))
        axes.set_xlabel("explained variance (%)")

    return Chart(
        "importance",
        f"Share of the variance of top-1 on {split} that each setting explains over {num} configurations"
        " (functional ANOVA). It speaks of the ranges that were searched, and of no cause.",
        f"Bar chart of {len(names)} settings. "
        f"{', '.join(f'{name} {points(importance[name])} %' for name in names[:3])}.",
        (COLUMN_IN, 0.5 + 0.22 * len(names)),
        draw,
        tuple(names),
        Grid("importance", ("setting", ">explained variance %"), rows),
    )


def _coordinates(
    pool: Pool, settings: Sequence[Mapping[str, Any]], names: Sequence[str], scores: Sequence[float]
) -> Coordinates:
    axes = [_axis(name, [each.get(name) for each in settings]) for name in names]
    result = Axis(f"top-1 on {pool.evidence.split} (%)", tuple(100 * score for score in scores))
    rows = tuple(
        (*(_shown(each.get(name)) for name in names), points(score))
        for each, score in zip(settings, scores, strict=True)
    )
    columns = tuple(
        f">{name}" if all(each.get(name) is None or _is_number(each[name]) for each in settings) else name
        for name in names
    )
    return Coordinates(
        f"All {len(scores)} configurations: drag along an axis to keep the lines that pass there, click to"
        " keep all again. The table below has the same numbers.",
        f"Parallel coordinates of {len(names)} settings and top-1; the table that follows has all values.",
        (*axes, result),
        Grid("configurations", (*columns, ">top-1 %"), rows),
    )


def _axis(name: str, values: Sequence[Any]) -> Axis:
    """Axis of numbers, by their logarithm where they are spread, or of categories."""
    if all(map(_is_number, values)):
        if not _is_spread(values):
            return Axis(name, tuple(map(float, values)))
        logs = tuple(math.log10(value) for value in values)
        ticks = tuple((math.log10(value), _shown(value)) for value in _few(sorted(set(values))))
        return Axis(name, logs, ticks)
    order = sorted({_shown(value) for value in values})
    return Axis(
        name, tuple(float(order.index(_shown(value))) for value in values), tuple(enumerate(map(str, order)))
    )


def _few(values: Sequence[float], *, most: int = 8) -> list[float]:
    step = max(1, math.ceil(len(values) / most))
    return list(values[::step])


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
