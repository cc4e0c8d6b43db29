"""Sweep files: what is read out of good ones, and that bad ones are refused with a line and a way out."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from tests.sweep.config.files import GOOD, changed, parameter, said, write
from vidcls.spec.explain import SpecError
from vidcls.sweep.config.check import check_against_spec
from vidcls.sweep.config.file import Metric, load_sweep
from vidcls.sweep.config.hyperband import Hyperband
from vidcls.sweep.space.distributions import Categorical, Constant, IntUniform, LogUniform, Real, Uniform


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_all_that_a_file_says_is_read() -> None:
    sweep = load_sweep(write(GOOD))
    assert (sweep.name, sweep.project, sweep.method, sweep.run_cap) == ("mine", "p", "bayes", 5)
    assert sweep.metric == Metric("val/top1", "maximize")
    assert sweep.early_terminate == Hyperband(min_iter=1)
    assert sweep.space.parameters == {
        "model.dropout": Categorical((0.0, 0.5)),
        "optim.lr": Real(Uniform(0.001, 0.1)),
        "train.epochs": Constant(4),
    }
    assert (sweep.spec_path, sweep.overrides) == (Path("spec.yaml"), ("data.workers=1",))
    assert sweep.text == GOOD
    assert sweep.place("parameters.optim.lr") == "sweep.yaml:8"
    loaded = check_against_spec(sweep)
    assert (loaded.spec.train.epochs, loaded.spec.data.workers) == (4, 1)


def test_nested_parameters_become_dotted_keys() -> None:
    text = parameter("optim: {parameters: {weight_decay: {min: 1, max: 3}, lr: {value: 0.5}}}")
    sweep = load_sweep(write(text))
    assert sweep.space.parameters == {"optim.lr": Constant(0.5), "optim.weight_decay": IntUniform(1, 3)}
    assert check_against_spec(sweep).spec.optim.weight_decay == 1
    assert "8: parameters.optim: W&B passes nested" in said(text, engine="wandb")


@pytest.mark.parametrize(
    "command",
    [
        '["${env}", "${interpreter}", "-m", vidcls, train, "--data=d.yaml", spec.yaml, "${args_no_hyphens}"]',
        '["${env}", .venv/bin/vidcls, train, "${args}", --data, d.yaml, "${envvar:SPEC}.yaml"]',
        '["${env}", "${program}", train, "--data=d.yaml", spec.yaml, "${args}"]\nprogram: vidcls',
    ],
)
def test_every_way_to_write_the_command(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEC", "spec")
    Path("d.yaml").write_text("data: {root: elsewhere}\n")
    sweep = load_sweep(write(GOOD.partition("command")[0] + f"command: {command}\n"))
    assert (sweep.spec_path, sweep.data_file) == (Path("spec.yaml"), Path("d.yaml"))
    assert check_against_spec(sweep).spec.data.root == "elsewhere"


def test_deprecated_bounds_are_exponents() -> None:
    sweep = load_sweep(write(parameter("optim.lr: {distribution: log_uniform, min: -4, max: -2}")))
    (lr,) = sweep.space.parameters.values()
    assert isinstance(lr, Real)
    assert isinstance(lr.shape, LogUniform)
    assert (lr.shape.low, lr.shape.high) == pytest.approx((math.exp(-4), math.exp(-2)))


FILE_MISTAKES = {
    "method: bayes": [
        ("methud: bayes", "3: methud: unknown key; did you mean method?"),
        (
            "method: bays",
            "3: method: unknown value 'bays'; allowed: grid, random, bayes; did you mean bayes?",
        ),
        ("method: custom", "3: method: custom is for W&B Launch"),
        ("method: bayes\nscheduler: {engine: optuna}", "4: scheduler: is for W&B Launch"),
        ("method: bayes\ncontroller: {type: local}", "4: controller: only used by W&B's server"),
        ("method: grid", "8: parameters.optim.lr: has no grid of values; with method: grid, give value"),
        (
            "method: bayes\nprogram: train.py",
            "4: program: has no effect, because `command` has no ${program}",
        ),
    ],
    "name: mine": [
        ("name: 1e3", "1: name: W&B reads 1e3 as text; write 1.0e+3"),
        ("name: []", "1: name: expected text, got []"),
    ],
    "run_cap: 5": [
        ("run_cap: 0", "5: run_cap: expected a whole number of at least 1, got 0"),
        ("run_cap: 2.5", "5: run_cap: expected a whole number"),
    ],
    "metric: {name: val/top1, goal: maximize}": [
        ("", "method: needs a metric: {name: val/top1, goal: maximize}"),
        ("metric: {goal: maximize}", "4: metric.name: required"),
        ("metric: {name: val/top1, goal: max}", "4: metric.goal: unknown value 'max'"),
        ("metric: {name: val/top1, target: high}", "4: metric.target: expected a number, got 'high'"),
        ("metric: {name: val/top1, imput: best}", "4: metric.imput: unknown key; did you mean impute?"),
        ("metric: {name: val/top1, impute: lates}", "did you mean latest?"),
    ],
    "{type: hyperband, min_iter: 1}": [
        ("{min_iter: 1}", "6: early_terminate.type: required"),
        ("{type: asha, min_iter: 1}", "6: early_terminate.type: unknown value 'asha'; allowed: hyperband"),
        ("{type: hyperband}", "6: early_terminate: needs min_iter, or max_iter and s"),
        ("{type: hyperband, max_iter: 9}", "6: early_terminate: needs min_iter, or max_iter and s"),
        (
            "{type: hyperband, min_iter: 1, s: 2}",
            "6: early_terminate.s: has no effect together with min_iter",
        ),
        (
            "{type: hyperband, min_iter: 0}",
            "6: early_terminate.min_iter: expected a whole number of at least 1",
        ),
        ("{type: hyperband, min_iter: 1, eta: 1}", "6: early_terminate.eta: must be above 1, got 1"),
        (
            "{type: hyperband, min_iter: 1, strict: yes}",
            "W&B reads yes as True; write true, or 'yes' in quotes",
        ),
        ("{type: hyperband, max_iter: 2, s: 1}", "stops no trial: max_iter / eta is 2 / 3, below 1"),
    ],
    'command: ["${env}", vidcls, train, spec.yaml, data.workers=1, "${args}"]': [
        ("", '1: command: required, but not set; write ["${env}", vidcls, train,'),
        (
            "command: vidcls train spec.yaml",
            '11: command: expected a list of words such as ["${env}", vidcls',
        ),
        ('command: [python, train.py, "${args}"]', "11: command: does not run `vidcls train SPEC`"),
        ("command: [vidcls, train, spec.yaml]", "11: command: has no ${args}"),
        ('command: [vidcls, train, "${args}"]', "11: command: `vidcls train` needs one spec file, got none"),
        ('command: [vidcls, train, a, b, "${args}"]', "needs one spec file, got a, b"),
        ('command: [vidcls, train, spec.yaml, "${args_json}"]', "does not read JSON; write ${args}"),
        (
            'command: [vidcls, train, spec.yaml, "${args}", optim.lr=1]',
            "sets optim.lr, which is also a parameter",
        ),
        ('command: [vidcls, train, spec.yaml, "${args}", --restart]', "--restart would discard"),
        ('command: [vidcls, train, spec.yaml, "${args}", --device, cpu]', "--device has no effect here"),
        ('command: [vidcls, train, spec.yaml, "${args}", --verbose]', "--verbose is not allowed"),
        (
            'command: [nice, vidcls, train, spec.yaml, "${args}"]',
            "nice has no effect here, because workers start",
        ),
        ('command: ["A=1", vidcls, train, spec.yaml, "${args}"]', "use `env` of a cluster profile"),
        ('command: ["${program}", train, spec.yaml, "${args}"]', "${program} needs the key `program`"),
        ('command: [vidcls, train, "${envvar:NO_SUCH_SPEC}", "${args}"]', "NO_SUCH_SPEC is not set"),
    ],
}


@pytest.mark.parametrize(
    ("old", "new", "message"), [(old, *pair) for old, pairs in FILE_MISTAKES.items() for pair in pairs]
)
def test_a_mistake_in_the_file_is_refused(old: str, new: str, message: str) -> None:
    assert message in said(changed(old, new))


PARAMETER_MISTAKES = [
    (
        "optim.lr: {values: [1e-3, 0.1]}",
        "8: parameters.optim.lr.values: W&B reads 1e-3 as text; write 1.0e-3",
    ),
    ("optim.lr: {min: 1E5, max: .5e6}", "W&B reads 1E5 as text; write 1.0e+5"),
    ("optim.lr: {value: None}", "W&B reads None as text; write null"),
    ("optim.lr: {value: 010}", "W&B reads 010 as 8; write 10"),
    ("optim.lr: 0.1", "8: parameters.optim.lr: expected value:, values: or min: and max:, got 0.1"),
    ("optim.lr: {}", "8: parameters.optim.lr: needs value, values, or min and max"),
    ("optim.lr: {min: 0.1}", "8: parameters.optim.lr: needs value, values, or min and max"),
    ("optim.lr: {mu: 0.1}", "8: parameters.optim.lr: needs distribution: normal"),
    ("optim.lr: {minimum: 0.1, max: 0.2}", "parameters.optim.lr.minimum: unknown key; did you mean min?"),
    ("optim.lr: {distribution: log_unifrm_values, min: 1, max: 2}", "did you mean log_uniform_values?"),
    ("optim.lr: {distribution: normal, min: 1}", "optim.lr.min: has no effect with normal; it belongs to"),
    ("optim.lr: {distribution: uniform, min: 1}", "8: parameters.optim.lr: uniform needs max"),
    ("optim.lr: {min: 0.2, max: 0.1}", "parameters.optim.lr.min: must be below max, got 0.2 and 0.1"),
    ("optim.lr: {min: 1, max: 1}", "must be below max, got 1 and 1; for a single value, write value:"),
    ("optim.lr: {min: low, max: 1}", "parameters.optim.lr.min: expected a number, got 'low'"),
    ("optim.lr: {min: 0.1, max: .inf}", "parameters.optim.lr.max: expected a finite number, got inf"),
    ("optim.lr: {distribution: int_uniform, min: 1.5, max: 2}", "int_uniform needs whole numbers, got 1.5"),
    ("optim.lr: {distribution: log_uniform_values, min: 0, max: 2}", "optim.lr.min: must be above 0, got 0"),
    ("optim.lr: {distribution: log_uniform, min: 1, max: 1000}", "takes exponents of e"),
    ("optim.lr: {distribution: q_uniform, min: 1, max: 2, q: 0}", "optim.lr.q: must be above 0, got 0"),
    ("optim.lr: {distribution: normal, sigma: -1}", "optim.lr.sigma: must be above 0, got -1"),
    ("optim.lr: {distribution: beta, a: 0}", "optim.lr.a: must be above 0, got 0"),
    ("optim.lr: {values: []}", "optim.lr.values: expected a list such as [a, b], got []"),
    ("optim.lr: {values: [1, 2, 1.0]}", "optim.lr.values: 1 is given twice"),
    ("optim.lr: {values: [.nan, 1]}", "optim.lr.values: expected finite numbers"),
    ("optim.lr: {values: [1, 2], probabilities: [1.0]}", "expected 2 numbers, one for each value, got [1.0]"),
    ("optim.lr: {values: [1, 2], probabilities: [0.5, 0.4]}", "with the sum 1, got the sum 0.9"),
    ("optim.lr: {value: 0.1}", "7: parameters: all parameters are constants, so there is nothing to search"),
    ("optim.lr: {values: [1, 2]}\n  optim: {parameters: {lr: {value: 1}}}", "given twice; first at 8"),
    (
        "optim.lr: {values: [1, 2]}\n  optim: {value: {}}",
        "optim: replaces the section in which optim.lr is set",
    ),
    (
        "optim: {parameters: {lr: {min: 1, max: 2}}, value: 1}",
        "optim.value: has no effect together with `parameters`",
    ),
    ("optim: {parameters: {}}", "parameters.optim: expected parameters by key"),
]


@pytest.mark.parametrize(("text", "message"), PARAMETER_MISTAKES)
def test_a_mistake_in_a_parameter_is_refused(text: str, message: str) -> None:
    assert message in said(parameter(text))


def test_settings_without_effect_are_refused() -> None:
    text = changed("goal: maximize}", "goal: maximize, impute: best}").replace(
        "method: bayes", "method: random"
    )
    assert "4: metric.impute: has no effect with method: random" in said(text)


def test_all_mistakes_are_named_at_once_by_line() -> None:
    text = changed("run_cap: 5", "run_cap: 0").replace("max: 0.1", "max: 1e-9").replace("method", "methode")
    lines = said(text).splitlines()
    assert [line.partition(":")[0] for line in lines] == sorted(line.partition(":")[0] for line in lines)
    assert len(lines) >= 4


def test_files_that_are_no_sweeps() -> None:
    assert "expected `key: value` lines" in said("- 1\n")
    assert "required, but not set" in said("name: a\n")
    with pytest.raises(SpecError, match=r"no such file; did you mean sweep\.yaml"):
        load_sweep(Path("sweeps.yaml"))


def test_names_of_any_kind_become_folders() -> None:
    assert load_sweep(write(changed("name: mine", "name: ../a b/\u00fc"))).slug == "a-b"
    assert os.sep not in load_sweep(write(changed("name: mine", "name: '//'"))).slug
