"""Sweep files against their experiment: points that do not load, metrics that are not logged, how much it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sweep.config.files import GOOD, SPEC, changed, parameter, said, write
from vidcls.sweep.config.check import check_against_spec
from vidcls.sweep.config.description import describe
from vidcls.sweep.config.file import SweepFile, load_sweep


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


SHIPPED = (
    "late_fusion",
    "lr_grid",
    "cnn3d_random",
    "few_videos_heads",
    "few_videos_models",
    "ufc10_strategies",
    "ufc10_num_frames",
)
SPEC_MISTAKES = [
    ("optim.lrr: {min: 0.1, max: 0.2}", "8: optim.lrr: unknown key; did you mean optim.lr?"),
    ("optim.lr: {values: [fast, slow]}", "8: optim.lr: expected a number, got 'fast'"),
    ("optim.lr: {values: [0.1, '0.2']}", "8: optim.lr: the text '0.2' becomes 0.2 in the training; write it without quotes"),
    ("optim.lr: {min: -0.1, max: 0.1}", "8: optim.lr: must be greater than 0, got -0.1"),
    ("optim.lr: {distribution: normal, mu: 0.1, sigma: 0.1}", "8: optim.lr: must be greater than 0, got -0.27"),
    ("train.batch_size: {min: 1.0, max: 8.5}", "8: train.batch_size: expected a whole number, got 8.5"),
    ("train.batch_size: {distribution: q_uniform, min: 1, max: 8, q: 4}", "train.batch_size: must be greater"),
    ("model.join: {values: [gru, gruu]}", "8: model.join: unknown value 'gruu'"),
    ("model.kind: {values: [late_fusion, cnn3d]}\n  model.join: {values: [gru, mean]}",
     "9: model.join: has no effect for kind: cnn3d; it belongs to kind: late_fusion (with model.kind=cnn3d)"),
    ("clip.frames: {values: [4, 1]}", "8: clip.frames: model.kind: late_fusion combines several frames; set 2 or more"),
    ("optim.warmup_epochs: {values: [1, 40]}", "8: optim.warmup_epochs: must be smaller than train.epochs"),
    ("tracking.group: {values: [a, b]}", "8: tracking.group: cannot change the result"),
    ("model: {values: [{kind: cnn3d}, {kind: late}]}", "8: model.kind: unknown kind 'late'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), SPEC_MISTAKES)
def test_a_point_that_is_no_experiment_is_refused(text: str, message: str) -> None:
    assert message in said(parameter(text))


def test_a_clash_with_a_line_of_the_experiment_names_both() -> None:
    text = parameter("train.epochs: {values: [30, 5]}")
    Path("spec.yaml").write_text(SPEC + "optim: {warmup_epochs: 10}\n")
    line = "8: optim.warmup_epochs: must be smaller than train.epochs (with train.epochs=5), see spec.yaml:4"
    assert line in said(text)


def test_an_experiment_that_is_wrong_by_itself_is_named_once() -> None:
    Path("spec.yaml").write_text(SPEC + "optim: {lrr: 1}\n")
    assert said(GOOD) == "spec.yaml:4: optim.lrr: unknown key; did you mean optim.lr?"

    missing = changed("spec.yaml", "nope.yaml")
    assert said(missing).startswith("11: command: nope.yaml: no such file")


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            "{name: val/top_1, goal: maximize}",
            "4: metric.name: val/top_1 is never logged; did you mean val/top1?",
        ),
        (
            "{name: accuracy, goal: maximize}",
            "4: metric.name: accuracy is never logged; Logged metrics: train/loss",
        ),
        ("{name: best/val/top1, goal: maximize}", "is a summary, not a metric of each epoch; write val/top1"),
        ("{name: test/top1, goal: maximize}", "the test split is sealed"),
        (
            "{name: val/top1}",
            "4: metric.goal: required, but not set: without it, W&B minimises val/top1; write goal: maximize",
        ),
        ("{name: val/loss, goal: maximize}", "4: metric.goal: maximize looks for the worst model"),
        ("{name: train/loss, goal: maximize}", "write goal: minimize"),
        ("{name: val/top1, goal: minimize}", "larger is better; write goal: maximize"),
        ("{name: val/macro_f1, goal: minimize}", "4: metric.goal: minimize looks for the worst model"),
        ("{name: val/top1, goal: maximize, target: 95}", "for 95 % write target: 0.95"),
        ("{name: val/loss, goal: minimize, target: 0}", "4: metric.target: 0 is never reached"),
    ],
)
def test_a_metric_that_is_not_logged_or_not_meant_is_refused(metric: str, message: str) -> None:
    assert message in said(changed("{name: val/top1, goal: maximize}", metric))


def test_early_stopping_that_can_stop_nothing_is_refused() -> None:
    text = changed("train.epochs: {value: 4}", "optim.weight_decay: {value: 0}").replace(
        "min_iter: 1", "min_iter: 30"
    )
    assert "stops no trial: the first band is epoch 30, but train.epochs is 30" in said(text)


@pytest.mark.parametrize("engine", ["serverless", "wandb"])
@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_sweeps_are_right(name: str, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    sweep = load_sweep(Path("sweeps") / f"{name}.yaml", engine=engine)
    check_against_spec(sweep)
    assert sweep.name == name


def test_every_shipped_sweep_is_tested_here() -> None:
    names = {path.stem for path in (Path(__file__).parents[3] / "sweeps").glob("*.yaml")}
    assert names == set(SHIPPED)


def sizes(sweep: SweepFile, **options: Any) -> tuple[int | None, ...]:
    description = describe(sweep, **options)
    return description.num_points, description.num_configurations, description.num_trials


def test_a_description_says_how_much_a_sweep_is() -> None:
    grid = changed("{min: 0.001, max: 0.1}", "{values: [1, 2, 3]}").replace("method: bayes", "method: grid")
    assert sizes(load_sweep(write(grid))) == (6, 5, 5)
    assert "leaves out 1 of 6 points" in describe(load_sweep(write(grid))).notes[0]
    endless = load_sweep(write(grid.replace("run_cap: 5\n", "")))
    assert sizes(endless, repeats=3) == (6, 6, 18)
    assert describe(endless, repeats=3, trial_s=200).hours == pytest.approx(1)
    assert sizes(load_sweep(write(GOOD.replace("run_cap: 5\n", "")))) == (None, None, None)
    few = load_sweep(
        write(grid.replace("method: grid", "method: random").replace("run_cap: 5", "run_cap: 50"))
    )
    assert "there are only 6" in describe(few).notes[0]


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ("{distribution: log_uniform, min: 0.0001, max: 0.1}", "this draws values from 1 to 1.105"),
        (
            "{distribution: log_uniform, min: 0.0001, max: 0.1}",
            "write distribution: log_uniform_values, min: 0.0001, max: 0.1",
        ),
        ("{distribution: log_uniform, min: 0, max: 0.1}", "takes exponents of e"),
        ("{distribution: q_log_uniform, min: 1, max: 8, q: 1}", "distribution: q_log_uniform_values, min: 1"),
        ("{distribution: inv_log_uniform, min: 0.0001, max: 0.1}", "this draws values from 0.9048 to 0.9999"),
        ("{distribution: log_normal, mu: 0.001, sigma: 0.5}", "for rates around 0.001 write mu: -6.9"),
        ("{distribution: log_normal}", None),
        ("{distribution: log_uniform, min: -5, max: 2}", "draws learning rates up to 7.389"),
        ("{distribution: log_uniform_values, min: 1, max: 100}", "draws learning rates up to 100"),
        ("{min: 1, max: 5}", "draws learning rates up to 5"),
        ("{min: 0.001, max: 2.0}", "list them: values: [0.5, 1.0, 2.0]"),
        ("{min: 0.1, max: 0.001}", "must be below max"),
    ],
)
def test_learning_rates_that_nobody_means_are_refused(rate: str, message: str | None) -> None:
    text = parameter(f"optim.lr: {rate}")
    if message is None:  # its half is at 1, no more
        check_against_spec(load_sweep(write(text)))
    else:
        assert message in said(text)


@pytest.mark.parametrize(
    "rate",
    [
        "{distribution: log_uniform, min: -9.2, max: -2.3}",
        "{distribution: log_uniform_values, min: 0.0001, max: 0.1}",
        "{distribution: inv_log_uniform, min: 2.0, max: 9.0}",
        "{distribution: log_normal, mu: -6.9, sigma: 1.0}",
        "{values: [0.5, 1.0, 2.0]}",
    ],
)
def test_learning_rates_that_are_meant_pass(rate: str) -> None:
    check_against_spec(load_sweep(write(parameter(f"optim.lr: {rate}"))))
