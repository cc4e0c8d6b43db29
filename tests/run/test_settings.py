"""Settings of a run are those of its `spec.yaml`, read fast while nobody has edited it; finding stops at a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.scored import make_run
from vidcls.errors import VidclsError
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.run.settings import RECORD, recorded_settings, settings_record
from vidcls.spec.experiment import Spec
from vidcls.spec.load import load_spec
from vidcls.spec.show import plain, to_yaml

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_recorded_settings_are_those_of_the_file(file: Path, tmp_path: Path) -> None:
    asked = load_spec(file).spec
    run = make_run(tmp_path, name="x")
    run.create(asked, run.provenance())
    assert run.provenance()[RECORD]["settings"] == run.settings(run.provenance()) == plain(asked)
    assert run.spec() == load_spec(run.spec_file).spec == asked


@given(
    lr=st.floats(1e-9, 10, allow_subnormal=False),
    dropout=st.floats(0, 0.9),
    root=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
)
def test_any_setting_comes_back_from_json_as_from_yaml(lr: float, dropout: float, root: str) -> None:
    settings = {
        "name": "x",
        "model": {"kind": "late_fusion", "dropout": dropout},
        "optim": {"lr": lr},
        "data": {"root": f"./{root}"},
    }
    spec = Spec.model_validate_json(json.dumps(settings))
    text = to_yaml(spec)
    provenance = json.loads(json.dumps({RECORD: settings_record(spec, text)}))
    found = recorded_settings(provenance, text.encode())
    assert found == plain(spec)
    assert Spec.model_validate_json(json.dumps(found)) == spec


def test_an_edited_file_counts_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="x", optim={"lr": 0.25})
    text = run.spec_file.read_text()
    run.spec_file.write_text(text.replace("lr: 0.25", "lr: 0.5"))
    assert run.settings(run.provenance())["optim"]["lr"] == run.spec().optim.lr == 0.5
    for damaged in (text[: len(text) // 2], text + "\nunknown: 1\n", ""):
        run.spec_file.write_text(damaged)
        with pytest.raises(VidclsError, match=r"spec\.yaml"):
            run.settings(run.provenance())
        with pytest.raises(VidclsError, match=r"spec\.yaml"):
            run.spec()


@pytest.mark.parametrize("record", [None, "text", {}, {"digest": 1}, {"digest": None, "settings": {}}])
def test_a_provenance_without_a_record_is_read_with_its_file(tmp_path: Path, record: object) -> None:
    run = make_run(tmp_path, name="x", optim={"lr": 0.25})
    content = {key: value for key, value in run.provenance().items() if key != RECORD}
    content |= {} if record is None else {RECORD: record}
    run.provenance_file.write_text(json.dumps(content))
    assert run.settings(run.provenance()) == plain(run.spec())
    assert run.spec().optim.lr == 0.25


@pytest.mark.parametrize("damaged", ["fast", 0.5])
def test_a_damaged_record_does_not_count(tmp_path: Path, damaged: object) -> None:
    run = make_run(tmp_path, name="x", optim={"lr": 0.25})
    content = run.provenance()
    content[RECORD]["settings"]["optim"]["lr"] = damaged
    run.provenance_file.write_text(json.dumps(content))
    assert run.settings(run.provenance())["optim"]["lr"] == run.spec().optim.lr == 0.25
    run.provenance_file.write_text("{")
    assert run.spec().optim.lr == 0.25


def test_runs_are_found_in_order_and_nothing_inside_of_them(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, name=name) for name in ("b", "a")]
    aside = make_run(tmp_path, name="c").set_aside()
    inside = runs[0].folder / "code" / "x"
    inside.mkdir(parents=True)
    (inside / "spec.yaml").write_text("")
    (tmp_path / "runs" / "file").write_text("")
    assert find_runs(tmp_path) == runs[::-1]
    assert find_runs(runs[0].folder) == [runs[0]]
    assert find_runs(tmp_path / "runs" / "file") == find_runs(tmp_path / "missing") == []
    assert find_runs(aside) == [Run(aside)]
