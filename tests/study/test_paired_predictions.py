"""Stored logits of several runs: brought into one order, or refused with the reason and what to type then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.scored import make_run, store_logits
from vidcls.data.manifest import read_manifest
from vidcls.errors import ExitCode, UserError, VidclsError
from vidcls.evaluate.predictions import load_predictions
from vidcls.evaluate.run_data import videos_of
from vidcls.run.folder import Run
from vidcls.spec.data import DataSection
from vidcls.study.paired_predictions import groups_of, load_together

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
        load_together(runs, "val", checkpoint="best")
    return caught.value


def test_all_are_in_the_order_of_the_first(first: Run, second: Run) -> None:
    store_logits(
        second, 10 + LOGITS[[1, 2, 0]], [0, 1, 2], ids=("v1", "v2", "v0"), unscored={"v9": "no frames"}
    )
    store_logits(first, LOGITS, LABELS, unscored={"v9": "cut off"})
    here, there = load_together([first, second], "val", checkpoint="best")
    assert here.ids == there.ids == ("v0", "v1", "v2")
    assert here.labels.tolist() == there.labels.tolist() == LABELS
    np.testing.assert_array_equal(here.logits, LOGITS)
    np.testing.assert_array_equal(there.logits, 10 + LOGITS)
    assert there.unscored == {"v9": "no frames"}


def test_the_split_and_the_checkpoint_are_those_asked_for(first: Run) -> None:
    store_logits(first, -LOGITS, LABELS, split="test")
    load_predictions(first.predictions_file("test", "best")).save(first.predictions_file("val", "last"))
    for split, checkpoint, sign in (("val", "best", 1), ("test", "best", -1), ("val", "last", -1)):
        (found,) = load_together([first], split, checkpoint=checkpoint)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.logits, sign * LOGITS)


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
            f"vidcls evaluate {run.folder} {first.folder} --split val scores both again and shows why"
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


GROUPS = {"a": "one", "b": "one", "c": "", "d": "two", "e": ""}
IDS = tuple(f"{name}.avi" for name in GROUPS)


def grouped_run(folder: Path, *, groups: dict[str, str]) -> Run:
    """A run of five videos whose table tells their groups."""
    folder.mkdir()
    rows = []
    for number, (name, group) in enumerate(groups.items()):
        (folder / f"{name}.avi").write_text(name)
        rows.append(f"{name}.avi,class{number % 2},{('train', 'train', 'val')[number % 3]},{group}\n")
    table = folder / "table.csv"
    table.write_text("path,label,split,group\n" + "".join(rows))
    manifest = read_manifest(DataSection(root=str(table)), cache_dir=None)
    assert [video.id for video in manifest.videos] == list(IDS)
    return make_run(folder, name="run", manifest_hash=manifest.hash, root=table)


def test_who_has_no_group_is_on_its_own(tmp_path: Path) -> None:
    run = grouped_run(tmp_path / "some", groups=GROUPS)
    expected = ["group one", "group one", "c.avi", "group two", "e.avi"]
    assert groups_of(videos_of(run, "val", say=print), IDS) == (expected, "groups")
    assert groups_of(videos_of(run, "val", say=print), IDS[::-1]) == (expected[::-1], "groups")
    assert list((tmp_path / "some" / "store").rglob("*")), "files would be read again at each question"
    alone = (["e.avi", "c.avi"], "videos")
    assert (
        groups_of(videos_of(run, "val", say=print), ["e.avi", "c.avi"]) == alone
    )  # that others have groups does not matter
    none = grouped_run(tmp_path / "none", groups=dict.fromkeys(GROUPS, ""))
    assert groups_of(videos_of(none, "val", say=print), IDS) == (list(IDS), "videos")


def test_groups_are_those_of_the_data_that_the_run_saw(tmp_path: Path) -> None:
    """A spec may name its data by a path that is right only in the folder in which it was trained."""
    run = grouped_run(tmp_path / "data", groups=GROUPS)
    provenance = json.loads(run.provenance_file.read_text())
    table = Path(provenance["data_root"])
    run.spec_file.write_text(run.spec_file.read_text().replace(str(table), "table.csv"))
    assert run.spec().data.root == "table.csv"
    assert groups_of(videos_of(run, "val", say=print), IDS)[1] == "groups"
    table.write_text(table.read_text().replace("two", "three"))
    assert groups_of(videos_of(run, "val", say=print), IDS) == (list(IDS), "videos")
    table.unlink()
    assert groups_of(videos_of(run, "val", say=print), IDS) == (list(IDS), "videos")
