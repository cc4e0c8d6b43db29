"""CSV manifests as people and programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.layouts.reading import put, read, said, splits, write
from vidcls.errors import UserError

NAMES = tuple(
    f"v_{action}_g0{group}_c0{clip}.avi" for action in "ab" for group in (1, 2, 3) for clip in (1, 2)
)


def table(root: Path, *rows: str, header: str = "path,label", name: str = "t.csv") -> Path:
    return write(put(root, *NAMES) / name, "\n".join([header, *rows]) + "\n")


class TestWithoutSplits:
    def test_val_is_cut_by_group_as_from_folders(self, tmp_path: Path) -> None:
        manifest = read(table(tmp_path, *(f"{name},{name[2]}" for name in NAMES)))
        assert manifest.val_is_cut
        groups = {split: {video.group for video in manifest.split(split)} for split in ("train", "val")}
        assert len(groups["val"]) == 2
        assert not groups["train"] & groups["val"]
        (note,) = said(manifest, "val_cut")
        assert "whole groups" in note

        folders = put(tmp_path / "folders", *(f"{name[2]}/{name}" for name in NAMES))
        other = read(folders)
        assert {v.id.rpartition("/")[2]: v.split for v in other.videos} == {
            v.id: v.split for v in manifest.videos
        }

    def test_a_column_of_splits_that_is_empty_is_not_none(self, tmp_path: Path) -> None:
        manifest = read(table(tmp_path, f"{NAMES[0]},a,", header="path,label,split"))
        assert said(manifest, "split") == ["t.csv:2: split '' is not train, val or test"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
def test_delimiters(delimiter: str, name: str, tmp_path: Path) -> None:
    rows = [delimiter.join([NAMES[0], "a, b" if delimiter != "," else '"a, b"', "train"])]
    manifest = read(table(tmp_path, *rows, header=delimiter.join(["path", "label", "split"]), name=name))
    assert splits(manifest) == {NAMES[0]: ("a, b", "train")}


def test_rows_under_another_delimiter_than_the_header(tmp_path: Path) -> None:
    assert said(read(table(tmp_path, f"{NAMES[0]};a")), "label") == ["t.csv:2: no label"]


def test_a_row_with_more_cells_than_the_header(tmp_path: Path) -> None:
    manifest = read(table(tmp_path, f"{NAMES[0]},a", f"{NAMES[1]},a,b", f"{NAMES[2]},a,,"))
    (problem,) = said(manifest, "table")
    assert "t.csv:3: 3 cells, but the header has 2 (path,label)" in problem
    assert set(splits(manifest)) == {NAMES[0], NAMES[2]}


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t\.csv:1: 2 columns have the name 'label'"):
        read(table(tmp_path, f"{NAMES[0]},a,b", header="path,label,label"))


@pytest.mark.parametrize("missing", ["nan", "NaN", "<NA>", "NaT", "N/A"])
def test_a_missing_value_is_no_class(missing: str, tmp_path: Path) -> None:
    (problem,) = said(read(table(tmp_path, f"{NAMES[0]},a", f"{NAMES[1]},{missing}")), "label")
    assert problem.startswith(f"t.csv:3: label {missing!r}")


@pytest.mark.parametrize("missing", ["nan", "NaN", "None", "null"])
def test_a_missing_value_is_no_group(missing: str, tmp_path: Path) -> None:
    root = table(tmp_path, f"{NAMES[0]},a,", f"{NAMES[1]},a,{missing}", header="path,label,group")
    (problem,) = said(read(root), "table")
    assert problem.startswith(f"t.csv:3: group {missing!r}")


def test_none_may_be_a_class(tmp_path: Path) -> None:
    assert read(table(tmp_path, f"{NAMES[0]},a", f"{NAMES[1]},None")).classes == ("None", "a")


@pytest.mark.parametrize(
    ("written", "difference"),
    [
        ("SOME Place/a.MP4", "case"),
        ("some place/A.mp4", "case"),
        ("some place/a.avi", "ending"),
        ("some place/a", "ending"),
        ("some place\\a.mp4", "slashes"),
        ("/some place/a.mp4", "slashes"),
        ("Some Place\\A.AVI", "slashes and case and ending"),
        (".\\deep\\..\\some place\\a.mp4", "slashes"),
    ],
)
def test_a_path_that_differs_a_little_from_a_file(written: str, difference: str, tmp_path: Path) -> None:
    put(tmp_path, "some place/a.mp4", "deep/b.mp4")
    manifest = read(write(tmp_path / "t.csv", f"path,label\ndeep/b.mp4,b\n{written},a\n"))
    (problem,) = said(manifest, "missing")
    assert problem.startswith(f"t.csv:3: {written} does not exist, but ")
    assert problem.endswith(f"some place/a.mp4 does, which differs in {difference}; write this path")
    assert set(splits(manifest)) == {"deep/b.mp4"}


def test_a_path_that_may_mean_two_files_is_plainly_missing(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "a.avi")
    (problem,) = said(read(write(tmp_path / "t.csv", "path,label\na.mkv,x\n")), "missing")
    assert "differs" not in problem


def test_one_file_written_in_two_ways_is_listed_twice(tmp_path: Path) -> None:
    put(tmp_path, "in/a.mp4")
    manifest = read(write(tmp_path / "t.csv", "path,label\nin/a.mp4,x\n./in//a.mp4,x\n"))
    assert said(manifest) == [
        "in/a.mp4 is listed in t.csv:2 and t.csv:3",
        "all videos have the same class (x)",
        "the data has no val, and val cannot be made from train, because no class has two groups",
    ]


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_quotes_around_half_a_cell_name_the_line(delimiter: str, tmp_path: Path) -> None:
    first, second = f"{NAMES[0]}{delimiter}a", f'"half"{NAMES[1]}{delimiter}a'
    with pytest.raises(UserError, match=r"t\.csv:3: not CSV: .* expected after"):
        read(table(tmp_path, first, second, header=f"path{delimiter}label"))
