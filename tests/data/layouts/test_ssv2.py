"""Something-Something-v2: label files in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.layouts.reading import put, read, said, splits, write
from vidcls.errors import UserError

PREFIX = "something-something-v2-"


def root_of(root: Path, *, train: object = None, labels: object = None) -> Path:
    put(root, *(f"20bn-something-something-v2/{number}.webm" for number in range(1, 6)))
    items = [
        {"id": "1", "label": "pushing a cup", "template": "Pushing [something]", "placeholders": ["a cup"]},
        {"id": "2", "label": "x", "template": "Holding [something] next to [something]"},
        {"id": 3, "label": "x", "template": "Pushing [something]"},
    ]
    ids = {"Pushing something": "1", "Holding something next to something": "0"}
    write(root / f"{PREFIX}train.json", json.dumps(items if train is None else train))
    write(root / f"{PREFIX}validation.json", json.dumps([{"id": "4", "template": "Pushing [something]"}]))
    write(root / f"{PREFIX}test.json", json.dumps([{"id": "5"}]))
    write(root / f"{PREFIX}labels.json", json.dumps(ids if labels is None else labels))
    return root


def test_classes_are_templates_in_the_order_of_the_labels(tmp_path: Path) -> None:
    manifest = read(root_of(tmp_path))
    assert manifest.classes == ("Holding something next to something", "Pushing something")
    assert splits(manifest) == {
        "1": ("Pushing something", "train"),
        "2": ("Holding something next to something", "train"),
        "3": ("Pushing something", "train"),
        "4": ("Pushing something", "val"),
    }
    assert [problem.kind for problem in manifest.problems] == ["unlabelled", "class_without_videos"]
    assert "test.json: 1 clips are not read" in said(manifest, "unlabelled")[0]


def test_entries_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    items = [{"template": "Pushing [something]"}, 7, {"id": "1", "template": "Eating [something]"}]
    root = root_of(tmp_path, train=[{"id": "2", "template": "Pushing [something]"}, *items])
    name = f"{PREFIX}train.json, entry"
    assert said(read(root), "table") == [f"{name} 2: no id", f"{name} 3: no id"]
    assert said(read(root), "label") == [f"{name} 4: 'Eating something' is not in the file of labels"]


@pytest.mark.parametrize("text", ['[{"id": "1", "template": ', '[{"id": "1"}, ' + "[" * 100_000])
def test_what_is_no_json(text: str, tmp_path: Path) -> None:
    root = root_of(tmp_path)
    (root / f"{PREFIX}train.json").write_text(text)
    with pytest.raises(UserError, match=r"train\.json: not JSON"):
        read(root)


def test_two_files_for_one_split(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    write(root / "labels" / "train.json", '[{"id": "1", "template": "a"}]')
    with pytest.raises(UserError, match="are both for train"):
        read(root)
