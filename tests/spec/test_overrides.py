"""Settings from the command line: what a text setting gets, and what other settings make of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidcls.spec.experiment import Spec
from vidcls.spec.explain import SpecError
from vidcls.spec.load import load_spec

TEXTS = [
    "a #b", "# a", "[a]", "{a: b}", "*a", "&a", "%a", "@a", "!a", ">a", "|a", "`a`", "- a", "? a", "a: b", "a:",
    "2024", "007", "0x10", "1e-3", ".5", ".inf", "true", "No", "null", "None", "'a'", '"a"', "'", '"', "\\", ",", " a ",
    "a\tb", "a\nb", "---", "...", "<<", "=", "a=b", "ü/видео/動画", "-", "$HOME", "{", "]", "1_000", "9" * 5000,
]  # fmt: skip


@pytest.fixture(scope="module")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("overrides") / "x.yaml"
    path.write_text("name: x\nmodel: {kind: cnn3d}\n")
    return path


def loaded(path: Path, *overrides: str) -> Spec:
    return load_spec(path, overrides).spec


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(path, overrides)
    (mistake,) = caught.value.mistakes
    assert len(str(mistake)) < 250
    return str(mistake)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_setting_gets_its_text(spec_file: Path, text: str) -> None:
    assert loaded(spec_file, f"data.root={text}").data.root == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
@example("null ")
def test_a_text_setting_gets_any_text(spec_file: Path, text: str) -> None:
    nothing = text in {"null", "Null", "NULL", "None", "~"}
    assert loaded(spec_file, f"tracking.notes={text}").tracking.notes == (None if nothing else text)


@pytest.mark.parametrize("text", ["null", "None", "~"])
def test_a_text_setting_that_may_be_null_is_null(spec_file: Path, text: str) -> None:
    overrides = (f"model.weights={text}", f"tracking.group={text}", f"tracking.notes={text}")
    spec = loaded(spec_file, *overrides)
    assert (spec.model.weights, spec.tracking.group, spec.tracking.notes) == (None, None, None)


def test_lists_of_text_and_mappings_to_text_get_their_items_as_they_are_written(spec_file: Path) -> None:
    overrides = ("tracking.tags=[2024, true, 007, 'a, b', null]", "data.flip_labels={1: 2, left: no}")
    spec = loaded(spec_file, *overrides, "data.flip_labels.links=2024")
    assert spec.tracking.tags == ("2024", "true", "007", "a, b", "null")
    assert spec.data.flip_labels == {"1": "2", "left": "no", "links": "2024"}
    assert loaded(spec_file, "tracking.tags=[a, b]", "tracking.tags.1=[c]").tracking.tags == ("a", "[c]")


def test_other_settings_follow_yaml_as_the_agent_of_wandb_writes_them(spec_file: Path) -> None:
    overrides = (
        "optim.lr=1e-05",
        "optim.clip_norm=None",
        "train.channels_last=False",
        "train.keep_last=True",
    )
    spec = loaded(spec_file, *overrides, "clip.size=[24, 32]", "train.epochs= 3 ", "data.workers=auto")
    assert (spec.optim.lr, spec.optim.clip_norm, spec.train.epochs) == (1e-5, None, 3)
    assert (spec.train.channels_last, spec.train.keep_last) == (False, True)
    assert (spec.clip.size, spec.data.workers) == ((24, 32), "auto")
    assert loaded(spec_file, "model={'kind': 'early_fusion', 'dropout': 0.5}").model.dropout == 0.5


def test_settings_of_members_and_streams_are_known_by_their_kind(spec_file: Path) -> None:
    model = "model={kind: ensemble, members: [{kind: cnn3d}, {kind: frame_average}]}"
    spec = loaded(spec_file, model, "model.members.1.weights=2024", "model.members.1.aggregate=max")
    assert (spec.model.members[1].weights, spec.model.members[1].aggregate) == ("2024", "max")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optim.lr=3 # fast", "optim.lr: expected a number, got '3 # fast'"),
        ("optim.lr=&a 3", "optim.lr: expected a number, got '&a 3'"),
        ("optim.lr=!!float 3", "optim.lr: expected a number, got '!!float 3'"),
        ("optim.lr='3'", "optim.lr: expected a number, got \"'3'\""),
        ("clip.size=[24, 24] # px", "clip.size: '[24, 24] # px': nothing may follow the closing bracket, found '# px'"),
        ("clip.size=[24, 24] [1]", "clip.size: '[24, 24] [1]': not valid YAML: expected '<document start>'"),
        ("seed=" + "9" * 5000, "seed: a number of 5,000 digits"),
        ("seed=0x" + "f" * 5000, "seed: a number of 5,002 digits"),
        ("clip.size=[" + "9" * 5000 + "]", "a number of 5,000 digits; put it in quotes if it is text"),
        ("a" + ".a" * 3000 + "=1", "unknown key; no setting has so many parts"),
        ("model.members.²=1", "model.members: has no effect for kind: cnn3d; it belongs to kind: ensemble"),
        ("clip.size=" + "[" * 3000, "nested too deeply"),
        ("data.root=a\0b", "data.root: a path cannot contain a NUL character"),
        ("data.root=~nosuchuser/a", "data.root: there is no user nosuchuser here; write ./~nosuchuser/a for a file of this name"),
        ("model.weights=~nosuchuser/a.pt", "model.weights: there is no user nosuchuser here"),
        ("data.root=caf\udce9", "data.root: 'caf\\udce9' is not UTF-8 text"),
        ("data.root=", "data.root: no value; write data.root=VALUE"),
        ("model.weights=", "model.weights: no value; write model.weights=VALUE, or model.weights=null for none"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line(spec_file: Path, override: str, expected: str) -> None:
    assert expected in refused(spec_file, override)


@pytest.mark.parametrize("index", ["²", "٣", "9" * 5000, "-1"])
def test_an_item_of_a_list_has_a_plain_number(spec_file: Path, index: str) -> None:
    model = "model={kind: ensemble, members: [{kind: cnn3d}, {kind: frame_average}]}"
    assert "command line: " in refused(spec_file, model, f"model.members.{index}.dropout=0.5")


def test_paths_begin_in_the_home_folder_where_they_say_so(
    spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = loaded(spec_file, "data.root=~/data", "runs_dir=~/runs", "store_dir=~")
    assert (spec.data.root, spec.runs_dir) == (f"{tmp_path}/data", f"{tmp_path}/runs")
    assert spec.store_dir == str(tmp_path)
