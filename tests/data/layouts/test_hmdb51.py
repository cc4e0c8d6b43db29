"""HMDB51: a list for each class and split number."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.layouts.reading import put, read, said, splits, write
from vidcls.errors import UserError

NAMES = tuple(f"Film{n}_{a}_f_nm_np1_fr_goo_{n}.avi" for a in ("brush_hair", "wave") for n in range(4))


def root_of(root: Path) -> Path:
    for action in ("brush_hair", "wave"):
        names = [name for name in NAMES if action in name]
        put(root, *(f"hmdb51_org/{action}/{name}" for name in names))
        for number, values in ((1, "1120"), (2, "0211")):
            rows = "".join(f"{name} {value} \n" for name, value in zip(names, values, strict=True))
            write(root / "testTrainMulti_7030_splits" / f"{action}_test_split{number}.txt", rows)
    return root


def test_values_and_numbers(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    assert splits(read(root)) == {
        f"{action}/Film{n}_{action}_f_nm_np1_fr_goo_{n}.avi": (action, split)
        for action in ("brush_hair", "wave")
        for n, split in ((0, "train"), (1, "train"), (2, "test"))
    }
    assert said(read(root), "unused") == ["2 videos are in no split (0 in the lists)"]
    assert said(read(root), "extra") == []
    second = read(root, split_number=2)
    assert {video.id[-5] for video in second.split("test")} == {"1"}
    assert second.layout == "hmdb51 (split 2)"


def test_a_number_that_has_no_lists(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"brush_hair_test_split3\.txt does not exist") as caught:
        read(root_of(tmp_path), split_number=3)
    assert caught.value.hint == "set data.split_number; the lists have the numbers 1, 2"


def test_lines_that_cannot_be_used(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    path = root / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    path.write_text(path.read_text() + "more.avi 3\nmore.avi\ngone.avi 1\n")
    said_of = said(read(root), "table", "missing")
    assert [message.partition(":")[2][0] for message in said_of] == ["5", "6", "7"]
    assert "is not a file name and 0, 1 or 2" in said_of[0]
    assert "wave/gone.avi" in said_of[2]
