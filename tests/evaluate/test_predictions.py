"""Stored logits: whole or absent, the same bytes for the same content, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidcls.errors import VidclsError
from vidcls.evaluate.predictions import Predictions, UnscoredVideo, load_predictions


def _content(**changes: Any) -> dict[str, Any]:
    return {
        "ids": ("a/v_été_1", "b/v_2"),
        "labels": np.array([0, 2]),
        "groups": ("g07", ""),
        "views": np.array([1, 10]),
        "logits": np.array([[1, 2, 3], [4, 5, 6.5]], dtype=np.float32),
        "classes": ("up", "down", "still"),
        "split": "val",
        "checkpoint": "best",
        "epoch": 3,
        "manifest_hash": "abc",
        "unscored_videos": (UnscoredVideo("c/v_3", "truncated: no frame", 1, "g08"),),
        **changes,
    }


@pytest.mark.parametrize("unscored", [(), (UnscoredVideo("c/v_3", "cut off", 2),)])
def test_predictions_come_back(unscored: tuple[UnscoredVideo, ...], tmp_path: Path) -> None:
    path = tmp_path / "predictions" / "val-best.npz"
    predictions = Predictions(**_content(unscored_videos=unscored))
    predictions.save(path)
    read = load_predictions(path)
    for name, value in vars(predictions).items():
        np.testing.assert_array_equal(getattr(read, name), value, strict=isinstance(value, np.ndarray))
    assert read.metrics().top1 == 0.5
    predictions.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_a_split_without_a_scored_video_comes_back(tmp_path: Path) -> None:
    none = np.zeros(0, np.int64)
    empty = _content(ids=(), labels=none, groups=(), views=none, logits=np.zeros((0, 3), np.float32))
    Predictions(**empty).save(tmp_path / "val-best.npz")
    read = load_predictions(tmp_path / "val-best.npz")
    assert read.unscored_videos == empty["unscored_videos"]
    assert read.unscored == {"c/v_3": "truncated: no frame"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ("a",)}, "expected logits"),
        ({"labels": np.array([0, 3])}, "not among the classes"),
        ({"labels": np.array([-1, 0])}, "not among the classes"),
        ({"ids": ("a", "a")}, "twice"),
        ({"unscored_videos": (UnscoredVideo("b/v_2", "bad", 0),)}, "twice"),
        ({"unscored_videos": (UnscoredVideo("c", "bad", 0),) * 2}, "twice"),
        ({"unscored_videos": (UnscoredVideo("c", "bad", 3),)}, "not among the classes"),
        ({"groups": ("g07",)}, "a group and a number of views"),
        ({"views": np.array([1])}, "a group and a number of views"),
        ({"views": np.array([1, 0])}, "no view"),
        ({"views": np.array([1.0, 1.0])}, "int64"),
        ({"logits": np.zeros((2, 3))}, "float32"),
    ],
)
def test_content_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Predictions(**_content(**changes))


def test_reading_refuses_what_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "val-best.npz"
    Predictions(**_content()).save(path)
    whole = path.read_bytes()
    with np.load(path) as archive:
        arrays = dict(archive)

    def refuses(message: str) -> None:
        with pytest.raises(VidclsError, match=message) as caught:
            load_predictions(path)
        assert "vidcls evaluate" in str(caught.value)

    for damaged in (b"", b"not an archive", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        refuses("not readable")
    np.savez(path, **{name: array for name, array in arrays.items() if name != "split"})
    refuses("split")
    np.savez(path, **{**arrays, "format": np.array(99)})
    refuses("format 99")
    first = {name: array for name, array in arrays.items() if "groups" not in name and name != "views"}
    np.savez(path, **{**first, "format": np.array(1)})
    refuses("an earlier version of vidcls, without the groups")
    np.savez(path, **{**arrays, "ids": np.array(["a", None], dtype=object)})
    refuses("not readable")
    path.unlink()
    refuses("no such file")


def test_the_advice_of_a_run_is_the_command_for_its_file(tmp_path: Path) -> None:
    path = tmp_path / "my run" / "predictions" / "test-last.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not an archive")
    with pytest.raises(VidclsError) as caught:
        load_predictions(path)
    command = f"vidcls evaluate '{tmp_path}/my run' --split test --checkpoint last --anew"
    assert caught.value.hint == f"score the videos again: {command}"
