"""Files that would take a reader's memory, time or patience: each is one clear line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.fuzz import limited
from vidcls.spec.explain import SpecError
from vidcls.spec.load import load_spec

MINIMAL = "name: x\nmodel: {kind: cnn3d}\n"
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 12)
)


def refused(path: Path, **options: Path) -> str:
    with limited(), pytest.raises(SpecError) as caught:
        load_spec(path, **options)
    text = str(caught.value)
    assert all(len(line) < 400 and line.isprintable() for line in text.split("\n"))
    return text.replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{LAUGHS}name: x\n", "x.yaml: more than 50,000 values, where an alias counts as all values that it repeats"),
        (f"{MINIMAL}seed: {'9' * 5000}\n", "x.yaml:3: seed: a number of 5,000 digits; put it in quotes if it is text"),
        (f"{MINIMAL}seed: -{'9' * 5000}\n", "x.yaml:3: seed: a number of 5,001 digits; put it in quotes if it is text"),
        (f"{MINIMAL}seed: 0x{'f' * 5000}\n", "x.yaml:3: seed: a number of 5,002 digits; put it in quotes if it is text"),
        (f"{MINIMAL}optim: {{lr: 0.{'9' * 5000}e999}}\n", "x.yaml:3: optim.lr: expected a finite number, got Infinity"),
        (f"{MINIMAL}train: {{epochs: {10**30}}}\n", "x.yaml:3: train.epochs: a number of 31 digits; expected a number below 2**63"),
        (f"{MINIMAL}a{'.a' * 500}: 1\n", f"x.yaml:3: {'a.' * 20}...{'a.' * 7}a: unknown key"),
        (f"{MINIMAL}data: {{root: \"a\\0b\"}}\n", "x.yaml:3: data.root: a path cannot contain a NUL character"),
        (f"{MINIMAL}runs_dir: \"\\0\"\n", "x.yaml:3: runs_dir: a path cannot contain a NUL character"),
        (f"{MINIMAL}store_dir: ~nosuchuser/x\n", "x.yaml:3: store_dir: there is no user nosuchuser here"),
        ("name: x\nmodel: {kind: cnn3d, weights: \"a\\0b.pt\"}\n", "x.yaml:2: model.weights: contains a NUL character"),
        ("name: x\nmodel: {kind: cnn3d, weights: ~nosuchuser/b.pt}\n", "x.yaml:2: model.weights: there is no user nosuchuser"),
        (f"{MINIMAL}tracking: {{notes: \"\\ud800\"}}\n", "x.yaml:3: tracking.notes: a character that is not allowed in UTF-8"),
        (f"{MINIMAL}tracking: {{notes: \"\\UFFFFFFFF\"}}\n", "x.yaml: not valid YAML: an escape such as"),
        (f"%YAML {'9' * 5000}.1\n---\n{MINIMAL}", "x.yaml: not valid YAML: an escape such as \\U or a %YAML line"),
        (f"{MINIMAL}model.²: 1\n", "x.yaml:3: model.²: unknown key"),
        (f"{MINIMAL}\"a\\e[31m\\nb\": 1\n", "x.yaml:3: a\\x1b[31m\\nb: unknown key"),
        (f"{MINIMAL}data: {'[' * 500}\n", "x.yaml: nested too deeply"),
        (f"{MINIMAL}data: {'[' * 40}{']' * 40}\n", "nested too deeply, or an alias that contains itself"),
        (f"{MINIMAL}data: &a [*a]\n", "nested too deeply, or an alias that contains itself"),
        (f"{MINIMAL}#{'x' * 300_000}\n", "x.yaml: larger than 256 KB; expected a YAML file written by hand"),
        (MINIMAL + "".join(f"k{n}: 1\n" for n in range(8000)), "and more; correct these first"),
        (f"{MINIMAL}extends: /dev/zero\n", "x.yaml:3: extends: /dev/zero: a device or a pipe; expected a YAML file"),
        (f"{MINIMAL}extends: pipe\n", "x.yaml:3: extends: pipe: a device or a pipe; expected a YAML file"),
        (f"{MINIMAL}extends: .\n", "a folder; expected a YAML file"),
        (f"{MINIMAL}extends: loop\n", "x.yaml:3: extends: loop: cannot be read: Too many levels of symbolic links"),
        (f"{MINIMAL}extends: \"a\\0b\"\n", "x.yaml:3: extends: a path cannot contain a NUL character"),
        (f"{MINIMAL}extends: ~nosuchuser/a.yaml\n", "x.yaml:3: extends: there is no user nosuchuser here"),
        (f"{MINIMAL}extends: {'a' * 5000}\n", "cannot be read: File name too long"),
    ],
)  # fmt: skip
def test_what_no_spec_needs_is_refused_in_a_line(tmp_path: Path, text: str, expected: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "x.yaml").write_text(text)
    assert expected in refused(tmp_path / "x.yaml")


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "."])
def test_a_spec_and_its_data_are_files(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "x.yaml").write_text(MINIMAL)
    assert "expected a YAML file" in refused(tmp_path / name)
    assert "expected a YAML file" in refused(tmp_path / "x.yaml", data_file=tmp_path / name)


def test_a_parent_is_found_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "base.yaml").write_text(f"{MINIMAL}runs_dir: ~/runs\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "x.yaml").write_text("extends: ~/base.yaml\nstore_dir: '~'\n")
    spec = load_spec(tmp_path / "inner" / "x.yaml").spec
    assert spec.runs_dir == f"{tmp_path}/runs"
    assert spec.store_dir == str(tmp_path)
