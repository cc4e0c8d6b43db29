"""Kinetics: annotation tables and clips in any folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.layouts.reading import put, read, said, splits, write
from vidcls.errors import UserError

COLUMNS = "label,youtube_id,time_start,time_end,split"
TRAIN = f"{COLUMNS},is_cc\nair drumming,--6bJUbfpnQ,17,27,train,1\nabseiling,1dMp7cK3Ww0,0.0,10.0,train,0\n"


def root_of(root: Path, *, train: str = TRAIN) -> Path:
    put(root, "train/--6bJUbfpnQ_000017_000027.mp4", "replacement/1dMp7cK3Ww0_000000_000010.mkv")
    put(root, "val_256/abseiling/2dMp7cK3Ww0_000001_000011.mp4")
    write(root / "k400_annotations" / "train.csv", train)
    write(root / "k400_annotations" / "val.csv", f"{COLUMNS}\nabseiling,2dMp7cK3Ww0,1,11,validate\n")
    return root


def test_clips_lie_in_any_folder(tmp_path: Path) -> None:
    manifest = read(root_of(tmp_path))
    assert manifest.layout == "kinetics"
    assert splits(manifest) == {
        "--6bJUbfpnQ_000017_000027": ("air drumming", "train"),
        "1dMp7cK3Ww0_000000_000010": ("abseiling", "train"),
        "2dMp7cK3Ww0_000001_000011": ("abseiling", "val"),
    }
    assert all(problem.kind == "class_without_videos" for problem in manifest.problems)


def test_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    more = "\n".join(
        ["abseiling,,1,2,train", "abseiling,x,one,2,train", "abseiling,x,1,2,holdout", "nan,x,1,2,train"]
    )
    root = root_of(
        tmp_path, train=f"{TRAIN.replace(',is_cc', '').replace(',1', '').replace('n,0', 'n')}{more}\n"
    )
    fatal = said(read(root))
    for line, part in ((4, "''"), (5, "'one' to '2'"), (6, "split 'holdout'"), (7, "label 'nan'")):
        assert any(
            message.startswith(f"k400_annotations/train.csv:{line}:") and part in message for message in fatal
        )


def test_a_clip_that_is_not_there(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    (root / "train" / "--6bJUbfpnQ_000017_000027.mp4").unlink()
    (problem,) = said(read(root), "missing")
    assert "k400_annotations/train.csv:2" in problem
    assert "--6bJUbfpnQ_000017_000027" in problem


def test_two_files_of_one_clip(tmp_path: Path) -> None:
    root = put(root_of(tmp_path), "val/--6bJUbfpnQ_000017_000027.mp4")
    assert len(read(root).videos) == 3  # that of its split is taken
    put(root, "train/more/--6bJUbfpnQ_000017_000027.mp4")
    (problem,) = said(read(root), "two_files")
    assert "train/more/--6bJUbfpnQ_000017_000027.mp4" in problem


def test_a_test_split_without_labels_is_named(tmp_path: Path) -> None:
    root = put(root_of(tmp_path), "test/3dMp7cK3Ww0_000001_000011.mp4")
    write(root / "test.csv", "youtube_id,time_start,time_end,split\n3dMp7cK3Ww0,1,11,test\n")
    (problem,) = [problem for problem in read(root).problems if not problem.note]
    assert problem.kind == "unlabelled"
    assert "test.csv: 1 clips are not read" in problem.message


def test_one_of_its_tables_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column path"):
        read(root_of(tmp_path) / "k400_annotations" / "train.csv")
