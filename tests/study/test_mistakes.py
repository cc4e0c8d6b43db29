"""`vidcls mistakes`: the right videos in the right order, with their frames, from stored predictions alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support.awkward import BROKEN, CLASSES, copied
from tests.support.scored import make_run, store_logits
from vidcls.cli import app
from vidcls.data.decoding.decode import decode
from vidcls.data.manifest import read_manifest
from vidcls.evaluate.ledger import ledger_of
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.folder import Run
from vidcls.spec.data import DataSection

LABELS = [0, 1, 2, 0, 1]
A = [[3, 0, 0], [2, 1, 0], [9, 0, 1], [0, 1, 0], [0, 0.5, 0]]
"""Right in v0 and v4; the most confident mistake is v2, then v1, then v3."""
B = [[0, 3, 0], [0, 1, 0], [9, 0, 1], [5, 1, 0], [0, 4, 0]]
"""Right in v1, v3 and v4."""


def run(*args: object) -> Result:
    result = CliRunner().invoke(app, ["mistakes", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def lists_of(*args: object) -> dict[str, list[str]]:
    content = json.loads(run(*args, "--json").stdout)
    return {each["kind"]: [case["video"] for case in each["cases"]] for each in content["lists"]}


@pytest.fixture
def a(tmp_path: Path) -> Run:
    made = make_run(tmp_path, name="a")
    store_logits(made, np.array(A), LABELS)
    return made


@pytest.fixture
def b(tmp_path: Path) -> Run:
    made = make_run(tmp_path, name="b")
    store_logits(made, np.array(B), LABELS)
    return made


def test_confident_mistakes_and_uncertain_answers_come_first(a: Run) -> None:
    assert lists_of(a.folder) == {
        "confident mistakes": ["v2", "v1", "v3"],
        "least certain": ["v4", "v3", "v1", "v0", "v2"],
    }
    shown = run(a.folder, "--num", 1)
    assert shown.exit_code == 0
    for words in (
        "most confident mistakes: 3, the first 1",
        "least certain answers: 1 of 5",
        "class0 100.0%",
        "class1 45.2% ",
        "unknown",
        "--out mistakes.png",
    ):
        assert words in shown.stdout, words


def test_an_answer_has_its_probabilities(a: Run) -> None:
    content = json.loads(run(a.folder, "--json").stdout)
    case = content["lists"][0]["cases"][1]
    shares = np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum()
    (answer,) = case["answers"]
    assert (case["true"], answer["predicted"], answer["second"]) == ("class1", "class0", "class1")
    assert [answer["probability"], answer["second_probability"]] == pytest.approx(shares[:2])
    assert answer["is_correct"] is False
    assert content["results"] == [
        {"run": "a/0123456789ab-s0", "num_correct": 2, "leak_state": "unknown"},
    ]


def test_several_runs_are_compared_with_the_first(a: Run, b: Run) -> None:
    assert lists_of(a.folder, b.folder) == {"lost": ["v0"], "gained": ["v1", "v3"], "wrong in all": ["v2"]}
    assert lists_of(b.folder, a.folder)["lost"] == ["v1", "v3"]
    assert lists_of(a.folder.parent.parent) == lists_of(a.folder, b.folder)
    shown = run(a.folder, b.folder).stdout
    assert "right in a/0123456789ab-s0, wrong in b/0123456789ab-s0: 1" in shown
    assert "wrong in both runs: 1" in shown


def test_of_three_runs_the_wrong_answers_are_counted(a: Run, b: Run, tmp_path: Path) -> None:
    c = make_run(tmp_path, name="c")
    store_logits(c, np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]]), LABELS)
    content = json.loads(run(a.folder, b.folder, c.folder, "--json").stdout)
    assert [each["kind"] for each in content["lists"]] == ["lost", "gained"] * 2 + ["wrong in all"]
    shown = run(a.folder, b.folder, c.folder)
    assert "wrong in all 3 runs: 1" in shown.stdout
    assert "class0 (2), class1 (1)" in shown.stdout


def test_other_videos_are_refused_with_what_makes_them_equal(a: Run, tmp_path: Path) -> None:
    other = make_run(tmp_path, name="other")
    store_logits(other, np.array(B[:4]), LABELS[:4], unscored={"v4": "truncated"})
    done = run(a.folder, other.folder)
    assert done.exit_code == 2
    assert f"{other.folder} and {a.folder} did not score the same val videos: 1 differ, v4" in done.stderr
    assert f"vidcls evaluate {other.folder} {a.folder} --split val" in done.stderr


def test_predictions_of_other_weights_are_refused(a: Run) -> None:
    a.checkpoint_file("best").parent.mkdir()
    a.checkpoint_file("best").write_bytes(b"newer weights")
    done = run(a.folder)
    assert done.exit_code == 2
    assert "are not of its present checkpoint 'best'" in done.stderr
    assert f"vidcls evaluate {a.folder} --split val --checkpoint best" in done.stderr


def test_test_is_read_only_where_it_was_opened_and_each_look_is_recorded(a: Run) -> None:
    done = run(a.folder, "--split", "test")
    assert done.exit_code == 2
    assert f"vidcls evaluate {a.folder} --split test --checkpoint best" in done.stderr
    assert ledger_of(a).count == 0
    store_logits(a, np.array(A), LABELS, split="test")
    done = run(a.folder, "--split", "test")
    assert done.exit_code == 0
    assert [(entry.run, entry.repeated) for entry in ledger_of(a).entries()] == [(str(a.folder), True)]
    assert "the test split of this data was evaluated once so far" in done.stdout


def test_without_a_mistake_the_list_says_none(tmp_path: Path) -> None:
    perfect = make_run(tmp_path, name="perfect")
    store_logits(perfect, np.eye(3)[LABELS], LABELS)
    assert "most confident mistakes: none" in run(perfect.folder).stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--out", "x.gif"], "does not end in .png"),
        (["--force"], "--force has no effect without --out"),
        (["--num", "0"], "--num"),
        (["--checkpoint", "last"], "no val logits of its checkpoint 'last'"),
    ],
)
def test_a_mistake_is_a_message_and_exit_code_2(a: Run, args: list[str], message: str) -> None:
    done = run(a.folder, *args)
    assert done.exit_code == 2
    assert message in done.stderr


def picture_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def frame_of(video: Path, index: int) -> np.ndarray:
    """Frame as a sheet shows it: frames of 4 : 3 fit into 112 x 150 pixels as 112 x 149."""
    return decode(video, [index], size=(112, 149), decoder="pyav")[0]


def shows(sheet: np.ndarray, frame: np.ndarray) -> bool:
    """Whether a frame is somewhere at the left of a sheet, up to the rounding of the picture."""
    return bool(cv2.matchTemplate(sheet[:, :170], frame, cv2.TM_SQDIFF).min() / frame.size < 4)


def test_a_sheet_shows_frames_of_each_video_under_awkward_names(awkward: Run, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = run(awkward.folder, "--out", sheet, "--num", 20)
    assert done.exit_code == 3  # of the video that was not scored
    assert f"{BROKEN}: not scored: " in done.stderr
    assert f"wrote {sheet}: " in done.stderr
    assert all(name in done.stdout for name in CLASSES)
    data = Path(awkward.provenance()["data_root"]).parent
    picture = picture_of(sheet)
    stored = load_predictions(awkward.predictions_file("val", "best"))
    for name in stored.ids:
        assert shows(picture, frame_of(data / name, 0)), name
    assert not shows(picture, frame_of(data / "v00.avi", 0)), "a training video"


def test_a_sheet_is_not_overwritten_without_force(awkward: Run, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.jpg"
    sheet.write_bytes(b"mine")
    done = run(awkward.folder, "--out", sheet, "--num", 1)
    assert (done.exit_code, sheet.read_bytes()) == (2, b"mine")
    assert "--force" in done.stderr
    run(awkward.folder, "--out", sheet, "--num", 1, "--force")
    assert min(picture_of(sheet).shape[:2]) > 200


def test_where_the_data_is_gone_the_table_is_there_and_the_sheet_says_so(
    awkward: Run, tmp_path: Path
) -> None:
    moved = copied(awkward, tmp_path)
    provenance = moved.provenance()
    gone = shutil.copytree(Path(provenance["data_root"]).parent, tmp_path / "data")
    moved.provenance_file.write_text(json.dumps({**provenance, "data_root": str(gone / "videos.csv")}))
    shutil.rmtree(gone)
    sheet = tmp_path / "sheet.png"
    done = run(moved.folder, "--out", sheet, "--num", 2)
    assert done.exit_code == 3
    assert "least certain answers: 2 of 10" in done.stdout
    assert f"its data {gone / 'videos.csv'} does not exist\n  put it back there" in done.stderr
    assert min(picture_of(sheet).shape[:2]) > 200


def test_a_video_that_is_broken_now_is_named_and_the_others_are_shown(awkward: Run, tmp_path: Path) -> None:
    """One whose bytes are as before, so that the data counts as the same, but whose decoding fails."""
    lost = copied(awkward, tmp_path)
    stored = load_predictions(awkward.predictions_file("val", "best"))
    labels = [*stored.labels.tolist(), 0]
    logits = np.vstack([stored.logits, np.zeros((1, len(CLASSES)))])
    store_logits(lost, logits, labels, ids=(*stored.ids, BROKEN), classes=CLASSES)
    report = lost.report_dir("val", "best") / "metrics.json"
    assert json.loads(report.read_text())["checkpoint_digest"]
    done = run(lost.folder, "--out", tmp_path / "sheet.png", "--num", 20)
    assert done.exit_code == 3
    assert f"{BROKEN}: no frames on the sheet: " in done.stderr


def test_real_videos_are_shown_as_they_are(shared: Path, tmp_path: Path) -> None:
    root = shared / "ufc10" / "clean_split.csv"
    manifest = read_manifest(DataSection(root=str(root)), cache_dir=tmp_path / "store")
    made = make_run(tmp_path, name="ufc10", manifest_hash=manifest.hash, root=root)
    val = manifest.split("val")
    logits = np.random.default_rng(0).normal(size=(len(val), manifest.num_classes))
    store_logits(made, logits, [v.label for v in val], ids=[v.id for v in val], classes=manifest.classes)
    sheet = tmp_path / "sheet.png"
    done = run(made.folder, "--out", sheet, "--num", 3, "--json")
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    videos = {video.id: video for video in val}
    picture = picture_of(sheet)
    for each in content["lists"]:
        for case in each["cases"]:
            video = videos[case["video"]]
            assert case["true"] == manifest.classes[video.label]
            num = len(decode(video.path, None, size=(24, 32), decoder="pyav"))
            assert shows(picture, frame_of(video.path, num // 8)), video.id
