"""The course layout: what a video is known by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.layouts.reading import put, read, said, splits, write

HEADER = "video_name,video_path,action,label\n"


def root_of(root: Path) -> Path:
    for split in ("train", "val"):
        rows = ""
        for label, action in enumerate(("Jump", "Push")):
            for number in range(3) if split == "train" else (7,):
                rows += f"{number:03},{action}/{number:03}.avi,{action},{label}\n"
                put(root, f"videos/{split}/{action}/{number:03}.avi")
                put(root, f"frames/{split}/{action}/{number:03}/frame_1.jpg")
        write(root / "metadata" / f"{split}.csv", HEADER + rows)
    return root


@pytest.mark.parametrize("source", ["videos", "frames"])
def test_equal_names_in_two_classes_are_two_videos(source: str, tmp_path: Path) -> None:
    manifest = read(root_of(tmp_path), source=source)
    assert manifest.problems == ()
    assert splits(manifest) == {
        f"{action}/{number:03}": (action, "val" if number == 7 else "train")
        for action in ("Jump", "Push")
        for number in (0, 1, 2, 7)
    }


def test_rows_with_too_many_cells_or_without_a_class(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    table = root / "metadata" / "val.csv"
    table.write_text(table.read_text() + "1,a.avi,Jump,0,more\n2,a.avi,nan,0\n")
    (long,) = said(read(root), "table")
    assert long.startswith("val.csv:4: 5 cells, but the header has 4")
    (missing,) = said(read(root), "label")
    assert missing.startswith("metadata/val.csv:5: label 'nan'")


def test_files_that_are_spelt_in_another_way_are_taken_and_named(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    place = root / "videos" / "val" / "Jump"
    (place / "007.avi").rename(place / "007.MKV")
    manifest = read(root)
    assert len(manifest.videos) == 8
    (note,) = said(manifest, "spelling")
    assert note.endswith("val/Jump/007.avi (metadata/val.csv:2) is val/Jump/007.MKV")
