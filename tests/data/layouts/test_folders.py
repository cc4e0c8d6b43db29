"""Folders called for splits and folders called for classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.layouts.reading import put, read, said, splits, write
from vidcls.errors import UserError


@pytest.mark.parametrize(
    "folders",
    [
        ("train", "val", "test"),
        ("train_256", "val_256"),
        ("videos_train", "videos_val"),
        ("Training", "Validation", "replacement"),
        ("train", "test"),
        ("val",),
    ],
)
def test_splits_without_classes_are_not_taken_for_classes(folders: tuple[str, ...], tmp_path: Path) -> None:
    root = put(tmp_path / "root", *(f"{folder}/{name}.mp4" for folder in folders for name in "ab"))
    with pytest.raises(UserError) as caught:
        read(root)
    for folder in folders:
        assert (f"{folder}/" in caught.value.message) == (folder != "replacement")
    for part in ("may be splits", "or may be classes"):
        assert part in caught.value.message
    assert caught.value.hint is not None
    for part in ("path,label,split", "data.root=FILE.csv", "data.layout=class/video"):
        assert part in caught.value.hint
    assert read(root, layout="class/video").classes == tuple(sorted(folders))


def test_nor_are_splits_that_were_unpacked_into_folders_of_their_own(tmp_path: Path) -> None:
    root = put(tmp_path, "train/train/1.mp4", "train/train/2.mp4", "test/test/3.mp4")
    with pytest.raises(
        UserError, match="test/, train/ may be splits, with videos that have no class"
    ) as caught:
        read(root)
    assert "set data.layout=split/class/video" in str(caught.value.hint)
    assert read(root, layout="split/class/video").classes == ("test", "train")


@pytest.mark.parametrize("name", ["train", "test", "val"])
def test_a_class_may_be_called_as_a_split_where_nothing_else_is_meant(name: str, tmp_path: Path) -> None:
    beside = put(tmp_path / "a", f"{name}/1.mp4", f"{name}/2.mp4", "plane/3.mp4", "plane/4.mp4")
    assert read(beside).classes == tuple(sorted([name, "plane"]))
    inside = put(tmp_path / "b", f"train/{name}/1.mp4", "train/plane/2.mp4", f"test/{name}/3.mp4")
    assert splits(read(inside)) == {
        f"train/{name}/1.mp4": (name, "train"),
        "train/plane/2.mp4": ("plane", "train"),
        f"test/{name}/3.mp4": (name, "test"),
    }


def test_names_that_only_begin_as_splits_are_classes(tmp_path: Path) -> None:
    root = put(tmp_path, "train station/1.mp4", "testing_a_mattress/2.mp4", "evaluate/3.mp4")
    assert read(root).classes == ("evaluate", "testing_a_mattress", "train station")


def test_a_table_beside_folders_is_named(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1.mp4", "b/2.mp4")
    write(root / "groups.csv", "path,label,group\na/1.mp4,a,x\n")
    (note,) = said(read(root), "not_read")
    assert f"data.root={root / 'groups.csv'}" in note


def test_a_table_beside_loose_videos_is_named(tmp_path: Path) -> None:
    root = put(tmp_path, "1.mp4", "2.mp4")
    write(root / "labels.csv", "path,label\n1.mp4,a\n2.mp4,b\n")
    with pytest.raises(UserError) as caught:
        read(root)
    assert caught.value.hint == f"data.root={root / 'labels.csv'}"


def test_a_folder_with_the_files_of_two_layouts_is_not_read_unasked(tmp_path: Path) -> None:
    root = put(tmp_path, "wave/w_f_nm_np1_fr_goo_0.avi", "run/r_f_nm_np1_fr_goo_0.avi")
    for action, name in (("wave", "w"), ("run", "r")):
        write(root / f"{action}_test_split1.txt", f"{name}_f_nm_np1_fr_goo_0.avi 1\n")
    write(root / "classInd.txt", "1 wave\n2 run\n")
    for name in ("trainlist01.txt", "testlist01.txt"):
        write(root / name, "wave/w_f_nm_np1_fr_goo_0.avi 1\n" if name.startswith("train") else "")
    with pytest.raises(UserError) as caught:
        read(root)
    assert "ucf101 and hmdb51" in caught.value.message
    assert caught.value.hint == "data.layout=ucf101 or data.layout=hmdb51"
    assert read(root, layout="hmdb51").layout == "hmdb51 (split 1)"
    assert read(root, layout="ucf101").layout == "ucf101 (split 1)"


@pytest.mark.parametrize(
    "layout",
    ["course", "csv", "ucf101", "hmdb51", "kinetics", "ssv2", "lists", "split/class/video"],
)
def test_a_layout_that_is_not_there_is_refused(layout: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"data\.layout: {layout}, but .* does not have this layout"):
        read(put(tmp_path, "a/1.mp4", "b/2.mp4"), layout=layout)
