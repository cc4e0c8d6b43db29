"""What the fingerprint sees, and specs as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import fingerprint
from vidcls.spec.load import load_spec
from vidcls.spec.model import CNN3DSection
from vidcls.spec.sections import AdamWSection, TrainSection
from vidcls.spec.show import differences, plain, schema_text, to_yaml

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))
SPEC = Spec(name="x", model=CNN3DSection(kind="cnn3d"))


def changed(**settings: object) -> Spec:
    content = plain(SPEC)
    for key, value in settings.items():
        section = content
        *parents, leaf = key.split("__")
        for part in parents:
            section = section[part]
        section[leaf] = value
    return Spec.model_validate_json(json.dumps(content))


@pytest.mark.parametrize(
    "setting",
    [
        {"name": "y"}, {"seed": 7}, {"data__root": "/elsewhere"}, {"data__residency": "mapped"}, {"data__workers": 3},
        {"tracking__project": "p"}, {"runs_dir": "r"}, {"store_dir": "s"}, {"train__checkpoint_every_s": 1.0},
        {"train__keep_last": True},
    ],
)  # fmt: skip
def test_names_paths_tracking_and_speed_leave_the_fingerprint_alone(setting: dict[str, object]) -> None:
    assert fingerprint(changed(**setting), "m") == fingerprint(SPEC, "m")


@pytest.mark.parametrize(
    "setting",
    [
        {"clip__frames": 8}, {"clip__size": [64, 64]}, {"optim__lr": 0.5}, {"model__dropout": 0.5},
        {"train__precision": "fp32"}, {"train__threads": 2}, {"augment__flip": 0.5}, {"data__decoder": "decord"},
        {"clip__modality": "flow"}, {"clip__modality": "difference"}, {"clip__mean": [0.4, 0.4, 0.4]},
    ],
)  # fmt: skip
def test_all_that_changes_the_result_changes_the_fingerprint(setting: dict[str, object]) -> None:
    assert fingerprint(changed(**setting), "m") != fingerprint(SPEC, "m")


def test_the_data_is_part_of_the_fingerprint() -> None:
    assert fingerprint(SPEC, "a") != fingerprint(SPEC, "b")


@given(
    lr=st.floats(min_value=1e-12, max_value=1e3),
    epochs=st.integers(min_value=1, max_value=10**6),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
)
@example(lr=1.0, epochs=1, name="0E0")
@example(lr=1.0, epochs=1, name="0o7")
def test_a_resolved_spec_reads_back_to_itself(
    lr: float, epochs: int, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    spec = Spec(
        name=name,
        model=CNN3DSection(kind="cnn3d"),
        optim=AdamWSection(lr=lr, warmup_epochs=0.0),
        train=TrainSection(epochs=epochs),
    )
    path = tmp_path_factory.mktemp("spec") / "spec.yaml"
    path.write_text(to_yaml(spec))
    assert load_spec(path).spec == spec


def test_differences_name_the_settings() -> None:
    rows = differences(plain(SPEC), plain(changed(optim__lr=0.5)))
    assert rows == [("optim.lr", 0.001, 0.5)]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_shipped_experiments_are_valid_and_point_editors_to_the_schema(path: Path) -> None:
    assert load_spec(path).spec.name == path.stem
    modeline = path.read_text().splitlines()[0]
    assert modeline == "# yaml-language-server: $schema=schema.json"


def test_the_shipped_schema_is_the_schema() -> None:
    shipped = Path(__file__).parents[2] / "experiments" / "schema.json"
    assert shipped.read_text() == schema_text(), "run: vidcls spec schema > experiments/schema.json"
