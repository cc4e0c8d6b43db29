"""Checks of a sweep's metric and of its learning rates."""

from __future__ import annotations

from vidcls.errors import did_you_mean
from vidcls.spec.experiment import Spec
from vidcls.spec.load import LoadedSpec
from vidcls.spec.yaml import Mistake, in_short
from vidcls.sweep.config.file import Metric, SweepFile
from vidcls.sweep.config.hyperband import bands
from vidcls.sweep.space.distributions import IntUniform, LogNormal, Real
from vidcls.tracking.row_keys import EPOCH_METRICS

METRICS = tuple(EPOCH_METRICS)
"""Metrics that a training logs after each epoch."""


def check_metric(sweep: SweepFile, loaded: LoadedSpec | None) -> list[Mistake]:
    """Check that the metric is logged, its goal is plausible, and early stopping can have an effect."""
    metric = sweep.metric
    if metric is None:
        return []
    place, mistakes = sweep.place("metric.name"), []
    if metric.name.startswith("test/"):
        message = "the test split is sealed: a sweep reads only train and val; did you mean "
        mistakes.append(Mistake(place, "metric.name", f"{message}{metric.name.replace('test/', 'val/')}?"))
    elif metric.name not in METRICS:
        mistakes.append(Mistake(place, "metric.name", _never_logged(metric.name)))
    elif not _is_loss(metric) and "metric.goal" not in sweep.places:
        message = f"required, but not set: without it, W&B minimises {metric.name}; write goal: maximize"
        mistakes.append(Mistake(place, "metric.goal", message))
    elif _is_loss(metric) == (metric.goal == "maximize"):
        better = "smaller is better" if _is_loss(metric) else "larger is better"
        message = f"{metric.goal} looks for the worst model: for {metric.name}, {better}; write goal: "
        message += "minimize" if _is_loss(metric) else "maximize"
        mistakes.append(Mistake(sweep.place("metric.goal"), "metric.goal", message))
    elif message := _never_reached(metric):
        mistakes.append(Mistake(sweep.place("metric.target"), "metric.target", message))
    rule = sweep.early_terminate
    if rule is not None and loaded is not None:
        first, epochs = bands(rule)[0], most_epochs(sweep, loaded.spec)
        if first >= epochs:
            message = f"stops no trial: the first band is epoch {first}, but train.epochs is {epochs}"
            mistakes.append(Mistake(sweep.place("early_terminate"), "early_terminate", message))
    return mistakes


def most_epochs(sweep: SweepFile, spec: Spec) -> int:
    """Epochs of the longest trial: set or searched by the sweep, otherwise taken from its experiment."""
    searched = sweep.space.parameters.get("train.epochs")
    examples = [] if searched is None else searched.examples()
    numbers = (int(value) for value in examples if isinstance(value, int | float))
    return max(numbers, default=spec.train.epochs)


def check_rates(sweep: SweepFile) -> list[Mistake]:
    """Refuse learning rate ranges that exceed 1: such a bound is almost certainly a mistake."""
    mistakes = []
    for name in sweep.space.searched:
        distribution = sweep.space.parameters[name]
        if name.rpartition(".")[2] != "lr" or not isinstance(distribution, Real | IntUniform):
            continue
        # For a distribution without ends the median is checked, since its tail may reach any value.
        has_ends = isinstance(distribution, IntUniform) or distribution.shape.ends is not None
        largest = distribution.examples()[-1] if has_ends else distribution.value(0.5)
        if largest > 1:
            what = (
                f"learning rates up to {largest:.4g}"
                if has_ends
                else f"half of the learning rates above {largest:.4g}"
            )
            message = f"draws {what}; "
            if isinstance(distribution, Real) and isinstance(distribution.shape, LogNormal):
                message += (
                    "mu and sigma are the mean and spread of log x: for rates around 0.001 write mu: -6.9. "
                )
            message += "If you want rates above 1, list them: values: [0.5, 1.0, 2.0]"
            mistakes.append(Mistake(sweep.place(f"parameters.{name}"), f"parameters.{name}", message))
    return mistakes


def _is_loss(metric: Metric) -> bool:
    return metric.name.endswith("loss")


def _never_reached(metric: Metric) -> str:
    """Reason why no trial can reach the target; empty if one can."""
    target = metric.target
    if target is None:
        return ""
    if _is_loss(metric):
        return "" if target > 0 else f"{target:g} is never reached, because a loss is above 0"
    if target <= 1:
        return ""
    guess = f"; for {target:g} % write target: {target / 100:g}" if target <= 100 else ""
    return f"{target:g} is never reached: {metric.name} is a share from 0 to 1{guess}"


def _never_logged(name: str) -> str:
    plain = name.removeprefix("best/")
    if plain in METRICS:
        return (
            f"is a summary, not a metric of each epoch; write {plain}, since a trial always counts by "
            f"its best epoch"
        )
    same_leaf = [metric for metric in METRICS if metric.endswith(f"/{name}")]
    meant = did_you_mean(name, METRICS) or (f"did you mean {same_leaf[-1]}?" if same_leaf else "")
    guess = f"{meant} " if meant else ""
    return f"{in_short(name)} is never logged; {guess}Logged metrics: {', '.join(METRICS)}"
