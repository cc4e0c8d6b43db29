"""What the environment asks of Weights & Biases: heard, or named by its variable."""

from __future__ import annotations

from pathlib import Path

import pytest
import wandb

from vidcls.errors import UserError
from vidcls.spec.explain import SpecError
from vidcls.spec.load import load_spec
from vidcls.spec.sections import TrackingSection
from vidcls.sweep.config.file import load_sweep
from vidcls.tracking import wandb as tracking
from vidcls.tracking.mode import choose_mode
from vidcls.tracking.tracker import NullTracker


@pytest.fixture(autouse=True)
def _isolated(unreachable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))


WRONG = {"WANDB_MODE": "ofline", "WANDB_BASE_URL": "localhost:8080", "WANDB_PROJECT": "a/b"}


@pytest.mark.parametrize("name", WRONG)
def test_a_variable_that_the_client_refuses_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, WRONG[name])
    with pytest.raises(UserError, match=f"{name}={WRONG[name]}: "):
        choose_mode("auto", warn=pytest.fail)


def test_a_refused_key_is_named_but_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", " short and secret ")
    with pytest.raises(UserError, match=r"WANDB_API_KEY=\.\.\.: ") as caught:
        choose_mode("auto", warn=pytest.fail)
    assert "secret" not in str(caught.value)


def test_a_training_that_cannot_be_recorded_says_how_to_send_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    said: list[str] = []
    tracker = tracking.open_tracker(
        TrackingSection(),
        run_dir=tmp_path / "run",
        run_id="x",
        name="x",
        group="x",
        spec={},
        leak_state="clean",
        history=[],
        warn=said.append,
    )
    assert isinstance(tracker, NullTracker)
    assert len(said) == 1
    assert "WANDB_MODE=ofline" in said[0]
    assert f"vidcls sync {tmp_path / 'run'}" in said[0]


@pytest.mark.parametrize(
    ("variable", "value", "mode"),
    [
        ("WANDB_DISABLED", "true", "disabled"),
        ("WANDB_DISABLED", "1", "disabled"),
        ("WANDB_DISABLED", "false", "offline"),
        ("WANDB_MODE", "disabled", "disabled"),
        ("WANDB_MODE", "dryrun", "offline"),
    ],
)
def test_the_environment_is_heard(
    variable: str, value: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert choose_mode("auto", warn=lambda _: None) == mode


def test_disabled_is_yes_or_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DISABLED", "offline")
    with pytest.raises(UserError, match="WANDB_DISABLED=offline: expected true or false"):
        choose_mode("auto", warn=pytest.fail)


@pytest.mark.parametrize(("variable", "value"), [("WANDB_DISABLED", "true"), ("WANDB_MODE", "disabled")])
def test_a_variable_that_the_spec_overrules_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    said: list[str] = []
    assert choose_mode("offline", warn=said.append) == "offline"
    assert said == [f"{variable}={value} has no effect: tracking.mode is offline"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("project", "my/project"),
        ("project", "what?"),
        ("project", "50%"),
        ("project", "x" * 129),
        ("project", " x"),
        ("entity", "team/project"),
        ("entity", "my team"),
        ("tags", "[" + "x" * 65 + "]"),
        ("tags", "['']"),
    ],
)
def test_names_that_wandb_refuses_are_refused_at_once(tmp_path: Path, key: str, value: str) -> None:
    spec = tmp_path / "spec.yaml"
    written = value if key == "tags" else f"'{value}'"
    spec.write_text(f"name: x\nmodel: {{kind: cnn3d}}\ntracking:\n  {key}: {written}\n")
    with pytest.raises(SpecError, match=rf"spec\.yaml:4: tracking\.{key}"):
        load_spec(spec)
    if key == "project" and value.strip() == value:
        with pytest.raises(Exception, match="project name"):
            wandb.Settings(project=value)


def test_names_that_wandb_takes_pass(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    tracking_section = "{project: 'Línea 1 (β) & co', entity: my-team_2, tags: [a b, 'ü']}"
    spec.write_text(f"name: x\nmodel: {{kind: cnn3d}}\ntracking: {tracking_section}\n")
    section = load_spec(spec).spec.tracking
    wandb.Settings(project=section.project, run_tags=section.tags)


def test_a_sweep_is_refused_by_the_same_rules(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("project: a/b\nentity: c d\nmethod: grid\n")
    with pytest.raises(SpecError) as caught:
        load_sweep(sweep)
    places = [(mistake.place, mistake.key) for mistake in caught.value.mistakes]
    assert (f"{sweep}:1", "project") in places
    assert (f"{sweep}:2", "entity") in places
