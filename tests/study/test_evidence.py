"""Stored logits of several runs: brought into one order, or refused with the reason and what to type then."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.scored import make_run, store_logits
from vidcls.errors import ExitCode, UserError, VidclsError
from vidcls.evaluate.ledger import ledger_of
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.folder import Run
from vidcls.run.shapes import Status
from vidcls.study.evidence import load_evidence, record_looks

LABELS = [2, 0, 1]
LOGITS = np.arange(9.0).reshape(3, 3)
SAME_DATA = "name runs with the same videos and splits; vidcls runs show RUN shows them"


@pytest.fixture
def first(tmp_path: Path) -> Run:
    """A run that scored v0, v1 and v2."""
    run = make_run(tmp_path, name="first")
    store_logits(run, LOGITS, LABELS)
    return run


@pytest.fixture
def second(tmp_path: Path) -> Run:
    """A run of the same data, of which nothing is stored yet."""
    return make_run(tmp_path, name="second")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Run:
    """A run of other data."""
    return make_run(tmp_path, name="elsewhere", manifest_hash="def")


def refused(*runs: Run) -> VidclsError:
    with pytest.raises(VidclsError) as caught:
        load_evidence(runs, "val", checkpoint="best")
    return caught.value


def test_all_are_in_the_order_of_the_first(first: Run, second: Run) -> None:
    store_logits(
        second, 10 + LOGITS[[1, 2, 0]], [0, 1, 2], ids=("v1", "v2", "v0"), unscored={"v9": "no frames"}
    )
    store_logits(first, LOGITS, LABELS, unscored={"v9": "cut off"})
    evidence = load_evidence([first, second], "val", checkpoint="best")
    here, there = evidence.predictions
    np.testing.assert_array_equal(evidence.logits, [LOGITS, 10 + LOGITS])
    assert evidence.ids == ("v0", "v1", "v2")
    assert evidence.unscored == {"v9": "no frames"}
    assert here.ids == there.ids == ("v0", "v1", "v2")
    assert here.labels.tolist() == there.labels.tolist() == LABELS
    np.testing.assert_array_equal(here.logits, LOGITS)
    np.testing.assert_array_equal(there.logits, 10 + LOGITS)
    assert there.unscored == {"v9": "no frames"}


def test_the_split_and_the_checkpoint_are_those_asked_for(first: Run) -> None:
    store_logits(first, -LOGITS, LABELS, split="test")
    store_logits(first, -LOGITS, LABELS, checkpoint="last")
    for split, checkpoint, sign in (("val", "best", 1), ("test", "best", -1), ("val", "last", -1)):
        found = load_evidence([first], split, checkpoint=checkpoint)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.logits, [sign * LOGITS])


def test_logits_of_another_split_are_not_taken_for_those_asked_for(first: Run) -> None:
    store_logits(first, -LOGITS, LABELS, split="test")
    load_predictions(first.predictions_file("test", "best")).save(first.predictions_file("val", "best"))
    assert "holds test logits of a checkpoint 'best'" in refused(first).message


def test_logits_that_are_missing_come_with_their_command(first: Run, second: Run) -> None:
    error = refused(first, second)
    assert isinstance(error, UserError)
    assert error.message == f"{second.folder}: no val logits of its checkpoint 'best' are stored"
    assert error.hint == f"vidcls evaluate {second.folder} --split val --checkpoint best"


def test_a_run_that_scored_nothing_is_refused(first: Run, second: Run) -> None:
    store_logits(second, np.zeros((0, 3)), [])
    error = refused(second, first)
    assert isinstance(error, UserError)
    assert (error.message, error.hint) == (
        f"{second.folder}: none of its val videos could be scored",
        None,
    )


def test_other_classes_are_refused(first: Run, second: Run) -> None:
    store_logits(second, LOGITS, LABELS, classes=("class0", "class2", "class1"))
    error = refused(first, second)
    assert isinstance(error, UserError)
    assert error.message == f"{second.folder}: was not trained on the classes of {first.folder}"
    assert error.hint == SAME_DATA


def test_other_videos_of_other_data_are_refused(first: Run, elsewhere: Run) -> None:
    """The first in the order of names is named, whether it is missing here or there, scored or not."""
    store_logits(elsewhere, LOGITS, LABELS, ids=("v0", "v1", "w1"), unscored={"a": "x", "z": "x", "k": "x"})
    error = refused(first, elsewhere)
    assert isinstance(error, UserError)
    assert error.message == (
        f"{elsewhere.folder}: was not trained on the data of {first.folder}: the videos in val differ,"
        " a among them"
    )
    assert error.hint == SAME_DATA


def test_what_only_one_could_score_is_refused(first: Run, second: Run, elsewhere: Run) -> None:
    """The data are the same, so it is the scoring that went wrong."""
    for run in (second, elsewhere):
        missing = {"v2": "cut off", "v0": "cut off"}
        store_logits(run, LOGITS[1:2], LABELS[1:2], ids=("v1",), unscored=missing)
        error = refused(first, run)
        assert isinstance(error, UserError)
        assert error.message == (
            f"{run.folder} and {first.folder} did not score the same val videos: 2 differ, v0 among them"
        )
        assert error.hint == (
            f"vidcls evaluate {run.folder} {first.folder} --split val --checkpoint best --anew scores both"
            " again and shows why"
        )
    # Stored before videos were removed from the data, as far as the one manifest tells.
    store_logits(second, LOGITS[1:], LABELS[1:], ids=("v1", "v2"))
    assert "did not score the same val videos: 1 differ, v0 among them" in refused(first, second).message


def test_another_label_is_refused(first: Run, second: Run) -> None:
    store_logits(second, LOGITS, [0, 0, 0], ids=("v2", "v1", "v0"))
    error = refused(first, second)
    assert isinstance(error, UserError)
    assert error.message == (
        f"{second.folder}: was not trained on the data of {first.folder}: v0 is of another class there"
    )
    assert error.hint == SAME_DATA


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_diverged_run_is_to_be_left_out(first: Run, second: Run, wrong: float) -> None:
    store_logits(second, np.where(LOGITS == 4, wrong, LOGITS), LABELS)
    error = refused(first, second)
    assert error.exit_code == ExitCode.FAILED
    assert error.message == (f"{second.folder}: its val logits are not finite, because its training diverged")
    assert error.hint == "leave out this run"


IDS = ("a.avi", "b.avi", "c.avi", "d.avi", "e.avi")
GROUPS = ("one", "one", "", "two", "")


def store_grouped(run: Run, groups: Sequence[str], ids: Sequence[str] = IDS) -> Run:
    store_logits(run, np.eye(3)[[0] * len(ids)], [0] * len(ids), ids=ids, groups=groups)
    return run


def groups_of(*runs: Run) -> tuple[dict[str, str], str]:
    evidence = load_evidence(runs, "val", checkpoint="best")
    assert evidence.num_groups == len(set(evidence.groups))
    return dict(zip(evidence.ids, evidence.groups, strict=True)), evidence.unit


def test_who_has_no_group_is_on_its_own(first: Run, second: Run) -> None:
    found = ["group one", "group one", "c.avi", "group two", "e.avi"]
    expected = dict(zip(IDS, found, strict=True)), "groups"
    assert groups_of(store_grouped(first, GROUPS)) == expected
    store_grouped(second, GROUPS[::-1], IDS[::-1])
    assert groups_of(first, second) == groups_of(second, first) == expected
    # Where no group is known, the unit is another one, and is called so.
    none = store_grouped(second, [""] * 5)
    assert groups_of(none) == (dict(zip(IDS, IDS, strict=True)), "videos")
    # One of two runs may have been trained on data without groups.
    assert groups_of(none, first) == groups_of(first, none) == expected


def test_other_groups_are_refused(first: Run, second: Run) -> None:
    store_grouped(first, GROUPS)
    store_grouped(second, ("one", "two", "", "two", ""))
    error = refused(first, second)
    assert isinstance(error, UserError)
    assert error.message == (
        f"{second.folder}: was not trained on the data of {first.folder}: b.avi is of group two here and of"
        " group one there"
    )
    assert error.hint == SAME_DATA


def test_logits_of_earlier_weights_are_refused(first: Run, second: Run) -> None:
    """Weights that are older than the logits are not even read."""
    store_logits(second, LOGITS, LABELS)
    weights = second.checkpoint_file("best")
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    stored_at = second.predictions_file("val", "best").stat().st_mtime
    os.utime(weights, (stored_at - 1, stored_at - 1))
    assert len(load_evidence([first, second], "val", checkpoint="best").runs) == 2
    file = second.predictions_file("val", "best")
    os.utime(file, (stored_at, stored_at))
    os.utime(weights, (stored_at, stored_at))
    assert isinstance(refused(first, second), UserError)  # a copy may give both the same time
    os.utime(weights, (stored_at + 1, stored_at + 1))
    error = refused(first, second)
    assert isinstance(error, UserError)
    assert error.message == (
        f"{second.folder}: its stored val logits are not of its present checkpoint 'best'"
    )
    assert error.hint == f"vidcls evaluate {second.folder} --split val --checkpoint best"


@pytest.mark.parametrize("keep_last", [False, True])
def test_logits_of_an_interrupted_training_are_not_those_of_its_end(tmp_path: Path, keep_last: bool) -> None:
    """A finished training removes its last weights; what was scored before stays on disk."""
    run = make_run(tmp_path, name="resumed", train={"keep_last": keep_last})
    store_logits(run, LOGITS, LABELS, checkpoint="last", epoch=9 if keep_last else 3)
    run.write_status(Status("finished", 9, 9))
    if keep_last:  # removed later, by the rules of a sweep
        assert len(load_evidence([run], "val", checkpoint="last").runs) == 1
        return
    with pytest.raises(UserError, match="are of epoch 3, and the weights of a later one were not kept"):
        load_evidence([run], "val", checkpoint="last")


def test_what_stands_beside_the_numbers_of_a_run(first: Run, elsewhere: Run) -> None:
    store_logits(elsewhere, LOGITS, LABELS)
    here, there = load_evidence([first, elsewhere], "val", checkpoint="best").runs
    assert (here.run, here.name, here.seed) == (first, "first", 0)
    assert (here.configuration, here.leak_state) == ("0123456789ab", "unknown")
    assert (here.manifest_hash, there.manifest_hash) == ("abc", "def")


def test_only_looks_at_test_are_recorded(first: Run, second: Run) -> None:
    record_looks([first, second], "val", checkpoint="best")
    assert ledger_of(first).count == 0
    record_looks([first, second], "test", checkpoint="last")
    assert [(look.run, look.checkpoint, look.repeated) for look in ledger_of(first).entries()] == [
        (str(run.folder), "last", True) for run in (first, second)
    ]
