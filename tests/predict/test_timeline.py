"""Windows of long videos, from the command to its files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import vidcls
from benchmarks.long_video import join_videos
from tests.support.encodings import Encoding, truth
from tests.support.video import moving_square, write_frames
from vidcls.cli import app
from vidcls.predict.timeline.results import Timeline
from vidcls.predict.timeline.timeline import predict_timeline
from vidcls.predict.timeline.windows import WindowPlan

pytestmark = pytest.mark.long

FRAMES = moving_square(50, 48, 64, seed=3)
LOSSLESS = Encoding("ffv1", "mkv", pix_fmt="bgr0")
WITHOUT_TIMES = Encoding("mpeg4", "avi", {"bf": "2"})
VARIABLE_RATE = Encoding("libx264", "mp4", {"bf": "3", "g": "12"}, steps=(1, 3, 2))


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, args)])


def timeline(folder: Path, path: Path, window: str, stride: str | None = None) -> Timeline:
    return predict_timeline(path, vidcls.load(folder), plan=WindowPlan.read(window, stride))


@pytest.mark.parametrize("modality", ["rgb", "flow", "difference", "rgb+flow"])
@pytest.mark.parametrize("encoding", [WITHOUT_TIMES, VARIABLE_RATE], ids=str)
def test_one_window_gives_the_logits_of_the_whole_video(
    run_of: Callable[[str], Path], tmp_path: Path, modality: str, encoding: Encoding
) -> None:
    path = encoding.write(tmp_path / "v", FRAMES[:13])
    predictor = vidcls.load(run_of(modality))
    (whole,) = predictor.predict(path)
    (window,) = timeline(run_of(modality), path, "1000s").windows
    assert (window.num_frames, window.label) == (13, whole.label)
    np.testing.assert_allclose(window.logits, whole.logits, atol=1e-5)


@pytest.mark.parametrize("modality", ["rgb", "flow", "difference"])
def test_each_window_is_predicted_as_a_video_of_its_frames(
    run_of: Callable[[str], Path], tmp_path: Path, modality: str
) -> None:
    path = LOSSLESS.write(tmp_path / "v", FRAMES)
    found = timeline(run_of(modality), path, "600ms", "200ms")
    assert [(each.start_s, each.num_frames) for each in found.windows] == [
        (0.0, 15), (0.2, 15), (0.4, 15), (0.6, 15), (0.8, 15), (1.0, 15), (1.2, 15), (1.4, 15)
    ]  # fmt: skip
    assert found.windows[-1].end_s == 2.0
    parts = [FRAMES[5 * k : 5 * k + 15] for k in range(8)]
    for window, alone in zip(found.windows, vidcls.load(run_of(modality)).predict(parts), strict=True):
        np.testing.assert_allclose(window.logits, alone.logits, atol=1e-5)


def test_times_are_those_of_the_frames(rgb_run: Path, tmp_path: Path) -> None:
    varying = timeline(rgb_run, VARIABLE_RATE.write(tmp_path / "v", FRAMES[:31]), "240ms")
    # Frames at 0, 1, 4, 6, 7, 10, ... ticks of 40 ms: three in every six ticks.
    assert [each.num_frames for each in varying.windows] == [3] * 10 + [1]
    steady = timeline(rgb_run, WITHOUT_TIMES.write(tmp_path / "v", FRAMES), "400ms")
    assert [(each.end_s, each.num_frames) for each in steady.windows] == [
        (0.4, 10), (0.8, 10), (1.2, 10), (1.6, 10), (2.0, 10)
    ]  # fmt: skip
    assert steady.remarks == ()
    bare = timeline(rgb_run, Encoding("libx264", "h264").write(tmp_path / "v", FRAMES), "1s")
    assert [each.num_frames for each in bare.windows] == [25, 25]
    assert "49 of 50 frames have no usable timestamp" in bare.remarks[0]


def test_windows_without_a_frame_of_their_own_show_the_one_before(rgb_run: Path, tmp_path: Path) -> None:
    slow = Encoding("libx264", "mkv", steps=(25,)).write(tmp_path / "slow", FRAMES[:3])
    windows = timeline(rgb_run, slow, "300ms").windows
    assert [each.num_frames for each in windows] == [1] * 7
    np.testing.assert_array_equal(windows[1].logits, windows[0].logits)
    assert not np.array_equal(windows[4].logits, windows[0].logits)


def test_a_window_too_short_for_motion_is_named(run_of: Callable[[str], Path], tmp_path: Path) -> None:
    path = LOSSLESS.write(tmp_path / "v", FRAMES[:26])
    result = run(run_of("difference"), path, "--window", "1s", "--csv")
    assert result.exit_code == 3
    assert "1 of 2 windows have no prediction: that at 0:01.00 has only one frame" in result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["class"] != "" for row in rows] == [True, False]


def test_tables_csv_json_and_files_agree(rgb_run: Path, tmp_path: Path) -> None:
    path = LOSSLESS.write(tmp_path / "long", FRAMES)
    out = tmp_path / "out"
    words = (rgb_run, path, "--window", "0.5", "--stride", "250ms")
    table = run(*words, "--out", out)
    assert table.exit_code == 0, table.output
    assert "0:02.00, 7 windows of 0.5 s, one every 0.25 s" in table.stdout
    rows = list(csv.DictReader(io.StringIO(run(*words, "--csv").stdout)))
    (told,) = json.loads(run(*words, "--json").stdout)
    assert (out / "timeline.csv").read_text() == run(*words, "--csv").stdout
    assert json.loads((out / "timeline.json").read_text()) == told
    assert [row["start_s"] for row in rows] == ["0.000", "0.250", "0.500", "0.750", "1.000", "1.250", "1.500"]
    for row, window in zip(rows, told["windows"], strict=True):
        assert (
            row["class"] == window["class"] == max(window["probabilities"], key=window["probabilities"].get)
        )
        assert float(row[f"p:{row['class']}"]) == float(row["probability"])
        assert sum(window["probabilities"].values()) == pytest.approx(1)
        assert sum(float(row[name]) for name in row if name.startswith("p:")) == pytest.approx(1, abs=1e-4)
    assert (told["segments"][0]["start_s"], told["segments"][-1]["end_s"]) == (0, 2)
    for segment in told["segments"]:
        assert segment["class"] in table.stdout
    with Image.open(out / "timeline.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(2**24)) > 100  # there are frames of the video in it


def test_nothing_is_overwritten_without_force(rgb_run: Path, tmp_path: Path) -> None:
    path = LOSSLESS.write(tmp_path / "v", FRAMES[:13])
    words = (rgb_run, path, "--window", "1s", "--out", tmp_path / "out")
    assert run(*words).exit_code == 0
    refused = run(*words)
    assert refused.exit_code == 2
    assert "timeline.csv exists already" in refused.stderr
    assert run(*words, "--force").exit_code == 0


def test_several_videos_have_a_folder_each_and_a_bad_one_is_named(rgb_run: Path, tmp_path: Path) -> None:
    good = LOSSLESS.write(tmp_path / "a", FRAMES[:13])
    (tmp_path / "b").mkdir()
    other = LOSSLESS.write(tmp_path / "b" / "a", FRAMES)
    pictures = write_frames(tmp_path / "pictures", FRAMES[:5])
    broken = tmp_path / "text.mp4"
    broken.write_text("no video")
    result = run(rgb_run, good, other, pictures, broken, "--window", "1s", "--out", tmp_path / "out", "--csv")
    assert result.exit_code == 3
    assert "pictures: is a folder of frames, which have no times" in result.stderr
    assert "text.mp4: is not a video but a text file" in result.stderr
    paths = [row["path"] for row in csv.DictReader(io.StringIO(result.stdout))]
    assert paths == [str(good), str(other), str(other)]
    assert len((tmp_path / "out" / "a-2" / "timeline.csv").read_text().splitlines()) == 3
    assert json.loads((tmp_path / "out" / "text" / "timeline.json").read_text())["error"]


def test_a_broken_video_keeps_the_windows_before(shared: Path, rgb_run: Path) -> None:
    result = run(rgb_run, shared / "clips" / "corrupted.mp4", "--window", "300ms", "--json")
    assert result.exit_code == 3
    (told,) = json.loads(result.stdout)
    assert told["error"].startswith("decode error after frame 28")
    assert "(predicted until 0:02.80)" in result.stderr
    assert [each["frames"] for each in told["windows"]] == [3] * 9 + [1]  # all 28 that are decoded


def test_real_videos_one_after_another_keep_their_times(shared: Path, rgb_run: Path, tmp_path: Path) -> None:
    files = sorted((shared / "ufc10" / "videos" / "val").rglob("*.avi"))[:24:8]
    parts = join_videos([(path, path.parent.name) for path in files], tmp_path / "long.mp4")
    assert [part.label for part in parts] == [path.parent.name for path in files]
    assert [part.start_s for part in parts[1:]] == [part.end_s for part in parts[:-1]]
    found = timeline(rgb_run, tmp_path / "long.mp4", "1s", "0.5s")
    assert found.end_s == pytest.approx(parts[-1].end_s, abs=0.05)
    assert len(truth(tmp_path / "long.mp4")) == sum(len(truth(path)) for path in files)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("V", "--stride", "1s"), "--stride has no effect without --window"),
        (("V", "--out", "x"), "--out has no effect without --window"),
        (("V", "--force"), "--force has no effect without --out"),
        (("V", "--window", "1s", "--force"), "--force has no effect without --out"),
        (("V", "--window", "1s", "--top", "2"), "--top has no effect with --window"),
        (("V", "--window", "0s"), "--window: expected a duration above zero, got '0s'"),
        (("V", "--window", "1s", "--stride", "-1"), "--stride: expected a duration above zero"),
        (("V", "--window", "1s", "--out", "V"), "is not a folder"),
        (("V", "--window", "1s", "--camera", "0"), "--camera 0: cannot be given together with"),
        (("V", "-", "--window", "1s"), "standard input cannot be given together with other videos"),
        (("-",), "live frames are predicted in windows, but --window is missing"),
        (("--camera", "0"), "--window is missing"),
        (("-", "--window", "1s", "--out", "x"), "--out and --force have no effect on live frames"),
        ((), "no video is named"),
        (("nowhere.mp4", "--window", "1s"), "nowhere.mp4: no such file or folder"),
    ],
)
def test_requests_that_say_nothing_are_refused(
    rgb_run: Path, demo: Path, words: tuple[str, ...], message: str
) -> None:
    video = next((demo / "videos" / "val").rglob("v_*"))
    result = run(rgb_run, *(video if word == "V" else word for word in words))
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_gaps_between_windows_are_said(rgb_run: Path, tmp_path: Path) -> None:
    path = LOSSLESS.write(tmp_path / "v", FRAMES)
    result = run(rgb_run, path, "--window", "200ms", "--stride", "1s", "--csv")
    assert "0.8 s between two windows are in none of them" in result.stderr
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3


class Counting:
    """A trained model that counts the clips that it scores."""

    def __init__(self, folder: Path) -> None:
        self._model = vidcls.load(folder)
        self.clip, self.classes, self.num_clips = self._model.clip, self._model.classes, 0

    def score_clips(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        self.num_clips += len(clips)
        return self._model.score_clips(clips)


def with_a_gap(path: Path, *, hours: float) -> Path:
    """50 frames of 40 ms, with a gap before the last 25."""
    jump = int(hours * 3600 * 25)
    return Encoding("libx264", "mkv", steps=(*[1] * 24, jump, *[1] * 25)).write(path, FRAMES)


def test_a_gap_costs_no_model_and_is_named(rgb_run: Path, tmp_path: Path) -> None:
    path = with_a_gap(tmp_path / "gap", hours=1)
    scorer = Counting(rgb_run)
    found = predict_timeline(path, scorer, plan=WindowPlan.read("200ms", None))
    assert len(found.windows) == 5 * 3602
    assert scorer.num_clips <= 12  # 5 before the gap, the first of it, 6 behind it
    assert sum(each.num_frames for each in found.windows if not each.is_gap) == 50
    assert len({each.packed for each in found.windows if each.repeats}) == 1
    (remark,) = found.remarks
    assert remark.endswith("those from 1.00 s to 3600.80 s are the longest gap")


def test_too_many_windows_are_refused_with_a_stride(rgb_run: Path, tmp_path: Path) -> None:
    path = with_a_gap(tmp_path / "gap", hours=3)
    refused = run(rgb_run, path, "--window", "100ms")
    assert refused.exit_code == 2
    assert "more than 100,000 windows" in refused.stderr
    assert "--stride 1s" in refused.stderr
    assert run(rgb_run, path, "--window", "100ms", "--stride", "1000s").exit_code == 0


def test_a_picture_of_another_video_does_not_stay(rgb_run: Path, tmp_path: Path) -> None:
    words = ("--window", "1s", "--out", tmp_path / "out", "--force")
    assert run(rgb_run, LOSSLESS.write(tmp_path / "v", FRAMES[:13]), *words).exit_code == 0
    assert (tmp_path / "out" / "timeline.png").exists()
    (tmp_path / "text.mp4").write_text("no video")
    assert run(rgb_run, tmp_path / "text.mp4", *words).exit_code == 3
    assert not (tmp_path / "out" / "timeline.png").exists()
