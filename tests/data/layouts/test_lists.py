"""Plain text lists `path label`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.layouts.reading import put, read, said, splits, write
from vidcls.errors import UserError


def root_of(root: Path, *, train: str = "a/1.mp4 0\nb/2.mp4 1\n", classes: str | None = None) -> Path:
    put(root, "videos/a/1.mp4", "videos/b/2.mp4", "videos/a/3.mp4", "videos/b/a long name.mp4")
    write(root / "annotations" / "k400_train_list_videos.txt", train)
    write(root / "annotations" / "k400_val_list_videos.txt", "a/3.mp4 0\nb/a long name.mp4 1\n")
    if classes is not None:
        write(root / "annotations" / "label_map.txt", classes)
    return root


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (None, ("0", "1")),
        ("abseiling\nair drumming\n", ("abseiling", "air drumming")),
        ("1 abseiling\n0 air drumming\n", ("air drumming", "abseiling")),
        ("abseiling 1\nair drumming 0\n", ("air drumming", "abseiling")),
    ],
)
def test_label_numbers_are_named_by_a_file_of_classes(
    classes: str | None, names: tuple[str, str], tmp_path: Path
) -> None:
    manifest = read(root_of(tmp_path, classes=classes))
    assert manifest.layout == "lists"
    assert manifest.classes == names
    assert splits(manifest) == {
        "a/1.mp4": (names[0], "train"),
        "b/2.mp4": (names[1], "train"),
        "a/3.mp4": (names[0], "val"),
        "b/a long name.mp4": (names[1], "val"),
    }
    assert manifest.problems == ()


def test_numbers_that_count_from_another_start(tmp_path: Path) -> None:
    (first, *_) = said(read(root_of(tmp_path, classes="1 abseiling\n2 air drumming\n")), "label")
    assert "k400_train_list_videos.txt:1: label '0' is not in label_map.txt, whose ids are 1 to 2" in first


def test_label_names(tmp_path: Path) -> None:
    root = root_of(tmp_path, train="a/1.mp4 air drumming\nb/2.mp4\tabseiling\n")
    assert {label for label, _ in splits(read(root)).values()} == {"air drumming", "abseiling", "0", "1"}


def test_lines_that_cannot_be_used(tmp_path: Path) -> None:
    root = root_of(tmp_path, train="a/1.mp4 0\nb/2.mp4 0 1\nb/2.mp4\nb/gone.mp4 1\n\nb/2.mp4 nan\n")
    start = "annotations/k400_train_list_videos.txt"
    for line, part in (
        (2, "several labels (0 1)"),
        (3, "is not a path"),
        (4, "gone.mp4"),
        (6, "label 'nan'"),
    ):
        assert any(
            message.startswith(f"{start}:{line}: ") and part in message for message in said(read(root))
        )


def test_one_list_alone_is_train(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    list_file = root / "annotations" / "k400_train_list_videos.txt"
    alone = write(root / "mine.txt", list_file.read_text())
    assert splits(read(alone)) == {"a/1.mp4": ("0", "train"), "b/2.mp4": ("1", "train")}
    put(root / "annotations", "a/1.mp4", "b/2.mp4")
    (note,) = said(read(list_file), "not_read")
    assert "k400_val_list_videos.txt" in note
    with pytest.raises(UserError, match="says val, but a single list is read as train"):
        read(root / "annotations" / "k400_val_list_videos.txt")


def test_a_table_without_a_header_is_a_list(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1.mp4", "b/2.mp4", "a/3.mp4")
    write(root / "train.csv", "a/1.mp4 0\nb/2.mp4 1\n")
    write(root / "test.csv", "a/3.mp4,0\n")
    assert splits(read(root)) == {
        "a/1.mp4": ("0", "train"),
        "b/2.mp4": ("1", "train"),
        "a/3.mp4": ("0", "test"),
    }


def test_two_lists_for_one_split(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    write(root / "annotations" / "k400_train_list_rawframes.txt", "a/1 30 0\n")
    with pytest.raises(UserError, match="are 2 lists for train"):
        read(root)


def test_numbered_lists(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1.mp4", "b/2.mp4")
    for number, names in ((1, ("a/1.mp4", "b/2.mp4")), (2, ("b/2.mp4", "a/1.mp4"))):
        for split, name in zip(("train", "val"), names, strict=True):
            write(root / f"mine_{split}_split_{number}_videos.txt", f"{name} {name[0]}\n")
    assert splits(read(root))["a/1.mp4"] == ("a", "train")
    second = read(root, split_number=2)
    assert splits(second)["a/1.mp4"] == ("a", "val")
    assert second.layout == "lists (split 2)"
    with pytest.raises(UserError, match=r"data\.split_number: 3"):
        read(root, split_number=3)


def test_text_that_is_no_list(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1.mp4", "b/2.mp4")
    write(root / "train_notes.txt", "hello world\n")
    assert read(root).layout == "class/video"


def test_own_lists_with_the_file_of_classes_of_ucf101(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1.mp4", "b/2.mp4")
    write(root / "classInd.txt", "1 walk\n2 run\n")
    (note,) = said(read(root), "not_read")
    assert note.startswith("classInd.txt")
    write(root / "train.txt", "a/1.mp4 1\nb/2.mp4 2\n")
    assert splits(read(root)) == {"a/1.mp4": ("walk", "train"), "b/2.mp4": ("run", "train")}
