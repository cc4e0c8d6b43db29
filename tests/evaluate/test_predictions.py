"""Stored logits: whole or absent, the same bytes for the same content, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidcls.errors import VidclsError
from vidcls.evaluate.predictions import Predictions, load_predictions


def _content(**changes: Any) -> dict[str, Any]:
    return {
        "ids": ("a/v_été_1", "b/v_2"),
        "labels": np.array([0, 2]),
        "logits": np.array([[1, 2, 3], [4, 5, 6.5]], dtype=np.float32),
        "classes": ("up", "down", "still"),
        "split": "val",
        "checkpoint": "best",
        "manifest_hash": "abc",
        "unscored": {"c/v_3": "truncated: no frame"},
        **changes,
    }


@pytest.mark.parametrize("unscored", [{}, {"c/v_3": "truncated"}])
def test_predictions_come_back(unscored: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "predictions" / "val-best.npz"
    predictions = Predictions(**_content(unscored=unscored))
    predictions.save(path)
    read = load_predictions(path)
    for name, value in vars(predictions).items():
        np.testing.assert_array_equal(getattr(read, name), value, strict=isinstance(value, np.ndarray))
    assert read.metrics().top1 == 0.5
    predictions.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_a_split_without_a_scored_video_comes_back(tmp_path: Path) -> None:
    empty = _content(ids=(), labels=np.zeros(0, np.int64), logits=np.zeros((0, 3), np.float32))
    Predictions(**empty).save(tmp_path / "val-best.npz")
    assert load_predictions(tmp_path / "val-best.npz").unscored == empty["unscored"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ("a",)}, "expected logits"),
        ({"labels": np.array([0, 3])}, "not among the classes"),
        ({"labels": np.array([-1, 0])}, "not among the classes"),
        ({"ids": ("a", "a")}, "twice"),
        ({"unscored": {"b/v_2": "bad"}}, "twice"),
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
    np.savez(path, **{**arrays, "ids": np.array(["a", None], dtype=object)})
    refuses("not readable")
    path.unlink()
    refuses("no such file")
