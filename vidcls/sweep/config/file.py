"""Strict reading of a W&B sweep configuration (https://docs.wandb.ai/guides/sweeps/sweep-config-keys).

`load_sweep` checks the file alone, `check_against_spec` checks it against the experiment. Together they
refuse settings that would make a trial fail or a search go wrong, before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from vidcls.spec.explain import SpecError
from vidcls.spec.wandb_names import entity_mistake, project_mistake
from vidcls.spec.yaml import Mistake, Node, parse_file
from vidcls.sweep.config.command import EXAMPLE, Engine, read_command
from vidcls.sweep.config.hyperband import Goal, Hyperband, read_hyperband
from vidcls.sweep.config.parameters import read_parameters
from vidcls.sweep.config.reading import Reader, misread_by_wandb
from vidcls.sweep.space.distributions import Constant, Distribution
from vidcls.sweep.space.space import Space

Method = Literal["grid", "random", "bayes"]
Impute = Literal["worst", "best", "latest"]
METHODS: tuple[Method, ...] = get_args(Method)
_IMPUTE: dict[str, Impute] = {"worst": "worst", "best": "best", "latest": "latest"}
_TEXTS = ("name", "description", "project", "entity")
_KEYS = (*_TEXTS, "method", "metric", "parameters", "early_terminate", "run_cap", "command", "program")
_FOR_LAUNCH = "is for W&B Launch, which vidcls does not use"
_REFUSED = dict.fromkeys(("scheduler", "job", "image_uri"), f"{_FOR_LAUNCH}; leave it out")
_NO_CONTROLLER = (
    "only used by W&B's server; without the server, the workers search by themselves; leave it out"
)
_NESTED = (
    "W&B passes nested parameters to the command as the text of a dict, which vidcls cannot read; "
    "write dotted keys, such as optim.lr"
)


@dataclass(frozen=True)
class Metric:
    """Metric that a sweep optimises.

    Attributes:
        name: Name under which the metric is logged; the value of a trial is its best over the epochs.
        goal: Whether the metric is minimised or maximised. `wandb` minimises by default.
        target: Value at which the sweep ends: no new trial starts once a trial has reached it.
        impute: Value of a failed trial in a Bayesian search: the worst of all, or its own best or last value.
        impute_while_running: Whether a running trial counts with its value so far, and if so, which value it
            has before its first epoch.
    """

    name: str
    goal: Goal = "minimize"
    target: float | None = None
    impute: Impute = "worst"
    impute_while_running: Impute | Literal["false"] = "false"


@dataclass(frozen=True)
class SweepFile:
    """Content of a sweep file.

    Attributes:
        name: Name of the sweep; by default the file name without its suffix.
        method: Search method, which chooses the points.
        metric: Metric to optimise; None only for grid and random search.
        space: Search space.
        early_terminate: Rule that stops a trial early.
        run_cap: Maximum number of trials.
        spec_path: Path of the experiment, relative to the working directory, as the W&B agent takes it.
        overrides: Fixed settings of every trial, `key=value`.
        data_file: File whose `data` section replaces that of the experiment.
        project: Project on W&B.
        entity: User or team on W&B.
        description: Free text for the reader.
        path: Path of the sweep file.
        text: Text of the sweep file.
        places: `file:line` by key, such as `metric.name` or `parameters.optim.lr`.
    """

    name: str
    method: Method
    metric: Metric | None
    space: Space
    early_terminate: Hyperband | None
    run_cap: int | None
    spec_path: Path
    overrides: tuple[str, ...]
    data_file: Path | None
    project: str | None
    entity: str | None
    description: str | None
    path: Path
    text: str
    places: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def slug(self) -> str:
        """Name in a form that is safe for a folder: letters, digits, `.`, `_` and `-`."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.name).strip(".-")[:60] or "sweep"

    @property
    def objective(self) -> Metric:
        """Metric that ranks the trials; val top-1 if a grid or random search names none."""
        return self.metric or Metric("val/top1", "maximize")

    def place(self, key: str) -> str:
        """Position of a key, or of the closest section around it, as `file:line`."""
        while key and key not in self.places:
            key = key.rpartition(".")[0]
        return self.places.get(key, str(self.path))


def load_sweep(path: Path, *, engine: Engine = "serverless") -> SweepFile:
    """Read a sweep file.

    Args:
        path: Path of the YAML file.
        engine: Search engine: the workers themselves, or the W&B server.

    Raises:
        SpecError: If there are mistakes; it lists each with file, line and key.
    """
    tree, mistakes = parse_file(path)
    if tree is None:
        raise SpecError(mistakes)
    text = path.read_bytes().decode("utf-8-sig")
    reader = Reader()
    sweep = _read(reader, tree, path, text, engine)
    misread = misread_by_wandb(text, str(path))
    # A scalar that W&B reads in another way gets that mistake only; mistakes that follow from it are dropped.
    places = {(mistake.place, mistake.key) for mistake in misread}
    others = [mistake for mistake in reader.mistakes if (mistake.place, mistake.key) not in places]
    found = {*mistakes, *misread, *others}
    if sweep is None or found:
        raise SpecError(sorted(found, key=by_line))
    return sweep


def by_line(mistake: Mistake) -> tuple[str, int, str]:
    """Sort key of mistakes: file, then line as a number."""
    file, _, line = mistake.place.rpartition(":")
    return (file, int(line), str(mistake)) if line.isdigit() else (mistake.place, 0, str(mistake))


def _read(reader: Reader, tree: Node, path: Path, text: str, engine: Engine) -> SweepFile | None:
    refused = dict(_REFUSED)
    if engine == "serverless":
        refused["controller"] = _NO_CONTROLLER
    allowed = _KEYS if engine == "serverless" else (*_KEYS, "controller")
    given = reader.section(tree, "", allowed, refused=refused)
    texts = {key: reader.text(given[key], key) for key in _TEXTS if key in given}
    for key, mistake_in in (("project", project_mistake), ("entity", entity_mistake)):
        if (name := texts.get(key)) and (mistake := mistake_in(name)):
            reader.wrong(given[key], key, mistake)
    method = _read_method(reader, tree, given)
    metric = _read_metric(reader, given["metric"], method) if "metric" in given else None
    rule = read_hyperband(reader, given["early_terminate"]) if "early_terminate" in given else None
    run_cap = reader.whole(given["run_cap"], "run_cap", at_least=1) if "run_cap" in given else None
    if "metric" not in given:
        for key, needs in (("method", method == "bayes"), ("early_terminate", rule is not None)):
            if needs:
                reader.wrong(given[key], key, "needs a metric: {name: val/top1, goal: maximize}")
    parameters = _read_space(reader, tree, given, method=method, engine=engine)
    command = None
    if "command" in given:
        command = read_command(reader, given["command"], program=given.get("program"), engine=engine)
    else:
        reader.wrong(tree, "command", f"required, but not set; write {EXAMPLE}")
    if command is not None:
        for key in (override.partition("=")[0] for override in command.overrides):
            if key in parameters:
                reader.wrong(given["command"], "command", f"sets {key}, which is also a parameter")
    if method is None or command is None:
        return None
    return SweepFile(
        name=texts.get("name") or path.stem,
        method=method,
        metric=metric,
        space=Space(parameters),
        early_terminate=rule,
        run_cap=run_cap,
        spec_path=command.spec_path,
        overrides=command.overrides,
        data_file=command.data_file,
        project=texts.get("project"),
        entity=texts.get("entity"),
        description=texts.get("description"),
        path=path,
        text=text,
        places=dict(_places(tree, "")),
    )


def _read_method(reader: Reader, tree: Node, given: dict[str, Node]) -> Method | None:
    node = given.get("method")
    if node is None:
        reader.wrong(tree, "method", f"required, but not set; allowed: {', '.join(METHODS)}")
    elif node.value == "custom":
        reader.wrong(node, "method", f"custom {_FOR_LAUNCH}; write grid, random or bayes")
    else:
        return reader.choice(node, "method", METHODS)
    return None


def _read_metric(reader: Reader, node: Node, method: Method | None) -> Metric | None:
    keys = ("name", "goal", "target", "impute", "impute_while_running")
    given = reader.section(node, "metric", keys)
    name = reader.text(given["name"], "metric.name") if "name" in given else None
    if "name" not in given and isinstance(node.value, dict):
        reader.wrong(node, "metric.name", "required, but not set")
    goal, impute, running = None, None, None
    if "goal" in given:
        goal = reader.choice(given["goal"], "metric.goal", ("minimize", "maximize"))
    target = reader.number(given["target"], "metric.target") if "target" in given else None
    for key in ("impute", "impute_while_running"):
        if key in given and method in {"grid", "random"}:
            reader.wrong(given[key], f"metric.{key}", f"has no effect with method: {method}")
    if "impute" in given:
        impute = reader.choice(given["impute"], "metric.impute", tuple(_IMPUTE))
    if "impute_while_running" in given:
        allowed = (*_IMPUTE, "false")
        running = reader.choice(given["impute_while_running"], "metric.impute_while_running", allowed)
    return Metric(
        name or "",
        "maximize" if goal == "maximize" else "minimize",
        target,
        _IMPUTE.get(impute or "", "worst"),
        _IMPUTE.get(running or "", "false"),
    )


def _read_space(
    reader: Reader, tree: Node, given: dict[str, Node], *, method: Method | None, engine: Engine
) -> dict[str, Distribution]:
    node = given.get("parameters")
    if node is None:
        reader.wrong(tree, "parameters", "required, but not set")
        return {}
    num_before = len(reader.mistakes)
    found = read_parameters(reader, node, nested_reason=_NESTED if engine == "wandb" else "")
    if len(reader.mistakes) == num_before and all(
        isinstance(distribution, Constant) for distribution in found.values()
    ):
        reader.wrong(node, "parameters", "all parameters are constants, so there is nothing to search")
    for name, distribution in found.items() if method == "grid" else ():
        if distribution.num_levels is None:
            place = node.child(name) or node
            allowed = "value, values, int_uniform or q_uniform"
            reader.wrong(
                place, f"parameters.{name}", f"has no grid of values; with method: grid, give {allowed}"
            )
    return found


def _places(node: Node, key: str) -> list[tuple[str, str]]:
    """Positions by key; nested parameters also appear under their dotted key."""
    found = [(key, node.place)]
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            inner = key if name == "parameters" and key.startswith("parameters") else f"{key}.{name}"
            found += _places(child, inner.removeprefix("."))
    return found
