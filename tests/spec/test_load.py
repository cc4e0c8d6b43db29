"""Spec files: what is read, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.spec.explain import SpecError
from vidcls.spec.load import LoadedSpec, load_spec
from vidcls.spec.scalars import scalar
from vidcls.spec.sections import SGDSection
from vidcls.spec.yaml import parse_text

MINIMAL = "name: x\nmodel: {kind: cnn3d}\n"


@pytest.fixture
def load(tmp_path: Path):
    def load(text: str | bytes, *overrides: str, name: str = "x.yaml", **kwargs: Path) -> LoadedSpec:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_spec(path, overrides, **kwargs)

    return load


@pytest.fixture
def mistakes(load, tmp_path: Path):
    def mistakes(text: str | bytes, *overrides: str, **kwargs: Path) -> list[str]:
        with pytest.raises(SpecError) as caught:
            load(text, *overrides, **kwargs)
        assert caught.value.exit_code == 2
        return [str(mistake).replace(f"{tmp_path}/", "") for mistake in caught.value.mistakes]

    return mistakes


def test_a_square_may_be_written_by_its_side(load, mistakes) -> None:
    for written in ("112", "112x112", "112 X 112", "'112'", "[112, 112]", "112.0"):
        assert load(MINIMAL + f"clip: {{size: {written}}}\n").spec.clip.size == (112, 112), written
        word = written.strip("'")  # quotes are YAML's, not the command line's
        assert load(MINIMAL, f"clip.size={word}").spec.clip.size == (112, 112), written
    assert load(MINIMAL, "clip.size=[96, 128]").spec.clip.size == (96, 128)
    (said,) = mistakes(MINIMAL, "clip.size=96x128")
    assert said.endswith(
        "clip.size: 96x128 can mean height x width or width x height; write [HEIGHT, WIDTH], such as [96, 128]"
    )
    assert len(mistakes(MINIMAL, "clip.size=4")) == 2
    for written in ("large", "true", "112x", "-112", "[112]"):
        assert mistakes(MINIMAL, f"clip.size={written}")


def test_numbers_follow_yaml_1_2_in_files_and_overrides(load) -> None:
    spec = load(MINIMAL + "optim: {lr: 3e-4, weight_decay: 1e-05}\n", "train.epochs=1e1", "seed=0x10").spec
    assert (spec.optim.lr, spec.optim.weight_decay, spec.train.epochs, spec.seed) == (3e-4, 1e-5, 10, 16)


@pytest.mark.parametrize("text", ["null", "None", "~", "Null"])
def test_null_is_null_however_it_is_written(load, text: str) -> None:
    assert load(MINIMAL + f"optim: {{clip_norm: {text}}}\n").spec.optim.clip_norm is None
    assert load(MINIMAL, f"optim.clip_norm={text}").spec.optim.clip_norm is None


def test_words_that_yaml_1_1_took_for_booleans_are_text(load) -> None:
    assert load(MINIMAL + "tracking: {notes: on, group: no}\n").spec.tracking.notes == "on"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_python_writes_reads_back(value: float) -> None:
    assert scalar(repr(value)) == value


@given(st.integers())
def test_every_integer_that_python_writes_reads_back(value: int) -> None:
    assert scalar(repr(value)) == value


@given(st.text())
def test_no_text_crashes_the_parser(text: str) -> None:
    parse_text(text, "f.yaml")


def test_all_mistakes_of_a_file_are_named_at_once_with_their_lines(mistakes) -> None:
    text = """\
name: x
seed: -1
modle: 3
lr: 3
optim:
  lrr: 3e-4
  momentum: 0.9
  lr: abc
augment: {flip: 2, scale: [0.5, 1]}
model:
  kind: late_fusio
train: 3
data:
  max_bad: 3
  bad_videos: eror
"""
    assert mistakes(text) == [
        "x.yaml:2: seed: must be greater than or equal to 0, got -1",
        "x.yaml:3: modle: unknown key; did you mean model?",
        "x.yaml:4: lr: unknown key in this section; did you mean optim.lr?",
        "x.yaml:6: optim.lrr: unknown key; did you mean optim.lr?",
        "x.yaml:7: optim.momentum: has no effect for kind: adamw; it belongs to kind: sgd",
        "x.yaml:8: optim.lr: expected a number, got 'abc'",
        "x.yaml:9: augment.flip: must be less than or equal to 1, got 2",
        "x.yaml:9: augment.scale: has no effect with crop: none; set crop: random_resized",
        "x.yaml:11: model.kind: unknown kind 'late_fusio'; allowed: cnn3d, frame_average, frame_statistics, early_fusion,"
        " late_fusion, custom, two_stream, ensemble; did you mean late_fusion?",
        "x.yaml:12: train: expected `key: value` lines, got 3",
        "x.yaml:14: data.max_bad: has no effect with bad_videos: error; set bad_videos: skip",
        "x.yaml:15: data.bad_videos: unknown value 'eror'; allowed: error, skip; did you mean error?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "x.yaml: empty file; a spec needs at least `name` and `model`"),
        ("# only a comment\n", "x.yaml: empty file; a spec needs at least `name` and `model`"),
        (b"\x00\xff\xfe", "x.yaml: binary file; expected a YAML spec in UTF-8 text"),
        ("- a\n- b\n", "x.yaml:1: expected `key: value` lines, found a list"),
        ("hello\n", "x.yaml:1: expected `key: value` lines, found the text 'hello'"),
        ("name: x\noptim:\n\tlr: 1\n", "x.yaml:3: a tab; YAML indents with spaces only"),
        ("name: [x\n", "x.yaml:2: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        (MINIMAL + "seed: 1\nseed: 2\n", "x.yaml:4: seed: duplicate key, first on line 3"),
        (MINIMAL + "seed: !!int 3\n", "x.yaml:3: seed: YAML tag !!int is not allowed; write the plain value"),
        (MINIMAL + "seed: !evil 3\n", "x.yaml:3: seed: YAML tag !evil is not allowed; write the plain value"),
        (MINIMAL + "train: {epochs: 1.5}\n", "x.yaml:3: train.epochs: expected a whole number, got 1.5"),
        (MINIMAL + "optim: {lr: .inf}\n", "x.yaml:3: optim.lr: expected a finite number, got Infinity"),
        (MINIMAL + "clip: {size: large}\n", "x.yaml:3: clip.size: expected a list such as [a, b], got 'large'"),
        ("name: x\n", "x.yaml:1: model: required, but not set"),
        ("name: ../x\nmodel: {kind: cnn3d}\n",
         "x.yaml:1: name: allowed are letters, digits, `.`, `_` and `-`, and it must begin with a letter or digit, got '../x'"),
        (MINIMAL + "clip: {unit: frame}\n",
         "x.yaml:3: clip.unit: frame needs a model that scores single frames; set model.kind: frame_average"),
        (MINIMAL + "clip: {modality: flow, mean: [0, 0, 0]}\n",
         "x.yaml:3: clip.mean: expected 2 numbers, one for each channel of modality: flow, got 3"),
        (MINIMAL + "clip: {flow: dis}\n",
         "x.yaml:3: clip.flow: has no effect with modality: rgb; set modality: flow"),
        (MINIMAL + "data: {source: flows}\n",
         "x.yaml:3: data.source: flows contains optical flow; set clip.modality: flow"),
        (MINIMAL + "data: {source: flows_png}\nclip: {modality: flow}\n",
         "x.yaml:3: data.source: flows_png are colour-wheel pictures, from which (u, v) cannot be computed; set flows"),
        (MINIMAL + "data: {source: flows}\nclip: {modality: flow, flow: dis}\n",
         "x.yaml:4: clip.flow: has no effect with data.source: flows, because this flow was computed before"),
        (MINIMAL + "augment: {crop: random}\n",
         "x.yaml:3: augment.crop: random has no effect with clip.fit: squeeze; set clip.fit: crop"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_message(mistakes, text: str | bytes, expected: str) -> None:
    assert mistakes(text) == [expected]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optim.lrr=3", "command line: optim.lrr: unknown key; did you mean optim.lr?"),
        ("optim.lr", "command line: 'optim.lr' is not an override; write key=value, such as optim.lr=3e-4"),
        ("optim.lr=", "command line: optim.lr: no value; write optim.lr=VALUE"),
        ("optim.clip_norm= ", "command line: optim.clip_norm: no value; write optim.clip_norm=VALUE, or optim.clip_norm=null for none"),
        ("optim.lr=abc", "command line: optim.lr: expected a number, got 'abc'"),
        ("name.x=1", "command line: name.x: name is a single setting, not a section"),
        ("clip.size=[64", "command line: clip.size: '[64': not valid YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)  # fmt: skip
def test_each_bad_override_has_its_message(mistakes, override: str, expected: str) -> None:
    assert mistakes(MINIMAL, override) == [expected]


def test_a_missing_file_names_one_that_is_near(tmp_path: Path) -> None:
    (tmp_path / "late_fusion.yaml").write_text(MINIMAL)
    with pytest.raises(SpecError, match=r"no such file; did you mean .*late_fusion\.yaml\?"):
        load_spec(tmp_path / "late_fusoin.yaml")


def test_a_missing_file_that_is_near_nothing_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "ensemble.yaml").write_text(MINIMAL)
    with pytest.raises(SpecError, match=r"no such file; .*/ has ensemble\.yaml"):
        load_spec(tmp_path / "nope.yaml")


def test_one_mistake_of_two_streams_is_one_line_with_its_setting(load, mistakes) -> None:
    streams = "rgb: {kind: frame_average}, motion: {kind: frame_average}"
    text = f"name: x\nclip: {{modality: rgb+difference}}\nmodel: {{kind: two_stream, {streams}}}\n"
    assert load(text).spec.model.kind == "two_stream"
    assert mistakes(text, "clip.modality=rgb") == [
        "x.yaml:3: model.kind: two_stream needs frames and their motion; set clip.modality: rgb+difference"
    ]
    assert mistakes(text, "model.weights=default") == [
        "command line: model.weights: has no effect for kind: two_stream;"
        " set model.motion.weights or model.rgb.weights"
    ]


def test_extends_merges_sections_and_keeps_places(load, mistakes, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(MINIMAL + "optim: {lr: 0.5, weight_decay: 0.25}\n")
    spec = load("extends: base.yaml\noptim: {lr: 0.125}\n").spec
    assert (spec.name, spec.optim.lr, spec.optim.weight_decay) == ("x", 0.125, 0.25)
    (tmp_path / "base.yaml").write_text(MINIMAL + "optim: {lrr: 0.5}\n")
    assert mistakes("extends: base.yaml\n") == ["base.yaml:3: optim.lrr: unknown key; did you mean optim.lr?"]


def test_another_kind_replaces_the_section_in_files_and_overrides(load, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(MINIMAL + "optim: {kind: adamw, lr: 0.5, betas: [0.5, 0.5]}\n")
    for spec in (
        load("extends: base.yaml\noptim: {kind: sgd}\n").spec,
        load("extends: base.yaml\n", "optim.momentum=0.8", "optim.kind=sgd").spec,
    ):
        assert isinstance(spec.optim, SGDSection)
        assert spec.optim.lr == SGDSection(kind="sgd").lr


def test_a_parent_extends_nothing_and_must_exist(mistakes, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("extends: other.yaml\n" + MINIMAL)
    (tmp_path / "other.yaml").write_text(MINIMAL)
    assert any("one level is allowed" in line for line in mistakes("extends: base.yaml\n"))
    assert "no such file" in mistakes(MINIMAL + "extends: nothing.yaml\n")[0]


def test_data_file_swaps_the_section_whole(load, mistakes, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("data: {root: elsewhere}\n")
    text = MINIMAL + "data: {root: here, decoder: decord}\n"
    spec = load(text, data_file=tmp_path / "data.yaml").spec
    assert (spec.data.root, spec.data.decoder) == ("elsewhere", "pyav")
    (tmp_path / "data.yaml").write_text("root: elsewhere\n")
    lines = mistakes(text, data_file=tmp_path / "data.yaml")
    assert lines[0] == "data.yaml: data: missing; a file for --data must have this section"


def test_members_of_an_ensemble_are_checked_and_overridden_one_by_one(load, mistakes) -> None:
    text = "name: x\nmodel:\n  kind: ensemble\n  members:\n  - {kind: cnn3d}\n  - {kind: frame_average}\n"
    spec = load(text, "model.members.1.aggregate=max").spec
    assert spec.model.members[1].aggregate == "max"
    assert mistakes(text, "model.members.7.dropout=0")[0].endswith(
        "model.members.7 is a single setting, not a section"
    )
    assert mistakes(text, "model.members.0.join=gru") == [
        "command line: model.members[0].join: has no effect for kind: cnn3d; it belongs to kind: late_fusion"
    ]


def test_what_is_missing_is_said_once_beside_other_mistakes(mistakes) -> None:
    found = mistakes("model: {kind: cnn3d}\ntitle: x\ntype: y\n")
    assert [line for line in found if "name: required" in line] == ["x.yaml:1: name: required, but not set"]
    assert len(found) == 3
