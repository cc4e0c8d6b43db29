"""`vidcls init DIR --data VIDEOS`: one experiment for the videos that are there, which runs as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.support.roots import Clip, build, make_clips
from tests.support.video import moving_square, write_clip
from vidcls.cli import app
from vidcls.models.backbones.lite import is_installed
from vidcls.spec.load import load_spec

pytestmark = pytest.mark.skipif(not is_installed(), reason="the extra `lite` is not installed")


def run(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clip, ...]:
    return make_clips(tmp_path_factory.mktemp("clips"))


def init(folder: Path, data: Path, *words: object) -> tuple[Result, Path]:
    """What `init` said, and the experiment that it wrote."""
    done = run("init", folder, "--data", data, *words)
    assert done.exit_code == 0, done.output
    line = next(line for line in done.stdout.splitlines() if line.startswith("wrote "))
    return done, Path(line.removeprefix("wrote "))


@pytest.mark.long
@pytest.mark.parametrize(
    "layout",
    [
        "course-frames",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("course-videos", "csv-videos", "class-frames")
        ),
    ],
)
def test_the_experiment_passes_its_check_and_its_rehearsal(
    layout: str, clips: tuple[Clip, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the root is given relative to here, and must hold elsewhere
    data = build(layout, Path("my videos"), clips)
    done, file = init(Path("mine"), data)
    assert done.stdout.splitlines()[1:] == [
        f"next: cd mine && vidcls check experiments/{file.name}",
        f"then: vidcls train experiments/{file.name}",
    ]
    monkeypatch.chdir(tmp_path / "mine")
    checked = run("check", Path("experiments") / file.name)
    assert checked.exit_code == 0, checked.output
    rehearsed = run("train", Path("experiments") / file.name, "--dry-run")
    assert rehearsed.exit_code == 0, rehearsed.output
    assert "checkpoint: written, read back, equal" in rehearsed.output


def test_settings_follow_the_data(clips: tuple[Clip, ...], tmp_path: Path) -> None:
    done, file = init(tmp_path / "mine", build("course-videos", tmp_path / "videos", clips))
    spec = load_spec(file).spec
    assert (spec.name, spec.data.root) == ("videos", str(tmp_path / "videos"))
    assert (spec.clip.frames, spec.train.batch_size) == (
        10,
        6,
    )  # 11 frames are 10 differences; 6 train videos
    head = "".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("#"))
    for text in (
        "course (videos): 3 classes, 18 videos (6 train, 6 val, 6 test), 32x24, 11 frames each",
        "clip.frames is 10, not 16",
        "no video of val or test has a relative in train",
    ):
        assert text in done.stderr
        assert text in head
    assert head.startswith("# yaml-language-server: $schema=schema.json\n")
    assert (file.parent / "schema.json").is_file()
    assert sorted(path.name for path in file.parent.iterdir()) == ["schema.json", "videos.yaml"]


def test_a_leak_is_said_with_what_mends_it(clips: tuple[Clip, ...], tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    for clip in clips:  # each group is parted: its first clip trains, its second is val
        split = "train" if clip.name.endswith("c01") else "val"
        (videos / split / clip.action).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip.file, videos / split / clip.action)
    done, file = init(tmp_path / "mine", videos)
    for said in (done.stderr, file.read_text()):
        assert "this data leaks: 9 of 9 val videos have a relative in train" in said
        assert f"vidcls data split {videos} --by group" in said


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    for number in range(6):
        name = tmp_path / "videos" / "ab"[number % 2] / f"clip{number}.mp4"
        write_clip(name, moving_square(2 if number == 5 else 40, 24, 32, seed=number))
    done, file = init(tmp_path / "mine", tmp_path / "videos")
    assert (
        "the data has no val: 2 of 6 train videos became val, with each video as its own group" in done.stderr
    )
    assert "it is not known whether videos of train have relatives" in done.stderr
    assert f"vidcls data audit {tmp_path / 'videos'}" in done.stderr
    assert load_spec(file).spec.clip.frames == 2


def test_a_few_short_videos_do_not_shorten_the_clips_of_all(tmp_path: Path) -> None:
    for number in range(24):
        name = tmp_path / "videos" / "ab"[number % 2] / f"clip{number}.avi"
        write_clip(name, moving_square(4 if number == 5 else 20, 16, 16, seed=number), codec="mpeg4")
    done, file = init(tmp_path / "mine", tmp_path / "videos")
    assert load_spec(file).spec.clip.frames == 16
    assert "1 video is too short for clip.frames 16, so frames are repeated" in done.stderr


@pytest.mark.long
def test_fine_tuning_is_written_for_a_gpu_and_names_the_weights_to_fetch(demo: Path, tmp_path: Path) -> None:
    done, file = init(tmp_path / "mine", demo, "--recipe", "few_videos_finetune")
    spec = load_spec(file).spec
    assert spec.model.kind == "cnn3d"
    assert spec.augment.flip == 0  # the classes are called Left and Right
    assert "clips are not mirrored: a left-right mirror would change the label" in done.stderr
    assert "weights r2plus1d_18:KINETICS400_V1 are not here yet; --recipe few_videos needs no" in done.stderr
    steps = done.stdout.splitlines()[1:]
    assert [step.partition(": ")[0] for step in steps] == ["next", "then", "then"]
    assert steps[0].endswith("&& vidcls weights fetch r2plus1d_18:KINETICS400_V1")
    assert steps[2] == "then: vidcls train experiments/motion10.yaml"
    folders = (f"runs_dir={tmp_path}/runs", f"store_dir={tmp_path}/store")
    small = ("clip.frames=4", "clip.size=[32,32]", "train.batch_size=2")
    assert run("train", file, *folders, *small, "--dry-run").exit_code == 0


def test_nothing_is_overwritten_unasked(clips: tuple[Clip, ...], tmp_path: Path) -> None:
    data = build("class-frames", tmp_path / "videos", clips)
    _, file = init(tmp_path / "mine", data)
    written = file.read_text()
    file.write_text("mine")
    again = run("init", tmp_path / "mine", "--data", data)
    assert (again.exit_code, file.read_text()) == (2, "mine")
    assert f"{file} exists already" in again.stderr
    init(tmp_path / "mine", data, "--force")
    assert file.read_text() == written
    beside = run("init", tmp_path / "mine", "--data", data, "--examples", "--force")
    assert beside.exit_code == 2
    assert "already contains experiments" in beside.stderr


def test_examples_stand_beside_the_experiment_on_request(clips: tuple[Clip, ...], tmp_path: Path) -> None:
    _, file = init(tmp_path / "mine", build("class-frames", tmp_path / "cnn3d", clips), "--examples")
    assert file.name == "cnn3d_videos.yaml"  # cnn3d.yaml is an example
    names = {path.name for path in (tmp_path / "mine").iterdir()}
    assert names == {"Makefile", "experiments", "slurm", "sweeps"}
    assert {"cnn3d.yaml", "few_videos.yaml"} < {path.name for path in file.parent.iterdir()}


@pytest.mark.parametrize(
    ("name", "experiment"),
    [("2024", "2024"), ("a: b #c", "a_b_c"), ("视频", "videos"), ("my 'videos' [x]", "my_videos_x")],
)
def test_any_folder_name_is_read_back(
    name: str, experiment: str, clips: tuple[Clip, ...], tmp_path: Path
) -> None:
    root = build("class-frames", tmp_path / name, clips)
    _, file = init(tmp_path / "mine", root)
    assert file.stem == experiment
    assert load_spec(file).spec.data.root == str(root)
    assert yaml.safe_load(file.read_text())["name"] == experiment


def test_mistakes_are_told(clips: tuple[Clip, ...], tmp_path: Path) -> None:
    data = build("class-frames", tmp_path / "videos", clips)
    (tmp_path / "videos" / "Lunges" / "empty.avi").touch()
    for words, says in (
        ([tmp_path / "x", "--data", tmp_path / "nowhere"], "does not exist"),
        ([tmp_path / "x", "--data", data], "empty.avi"),
        ([data / "mine", "--data", data], "is inside the folder of the videos"),
        ([tmp_path / "x", "--examples"], "--examples has no effect without --data"),
        ([tmp_path / "x", "--force"], "--force has no effect without --data"),
        ([tmp_path / "x", "--recipe", "few_videos"], "--recipe has no effect without --data"),
    ):
        done = run("init", *words)
        assert done.exit_code == 2, done.output
        assert says in done.stderr
        assert not (tmp_path / "x").exists()


def test_videos_that_the_recipe_cannot_read_are_refused(clips: tuple[Clip, ...], tmp_path: Path) -> None:
    one = tmp_path / "one" / "b" / "one.avi"
    for number in range(4):
        path = tmp_path / "one" / "ab"[number % 2] / f"{number}.avi"
        write_clip(path, moving_square(8, 16, 16, seed=number), codec="mpeg4")
    write_clip(one, moving_square(1, 16, 16), codec="mpeg4")
    done = run("init", tmp_path / "x", "--data", tmp_path / "one")
    assert (done.exit_code, "1 video has only one frame, such as b/one.avi" in done.stderr) == (2, True)
    init(tmp_path / "x", tmp_path / "one", "--recipe", "few_videos_finetune")  # which sees no differences
    flows = build("course-frames", tmp_path / "flows", clips)
    shutil.move(flows / "frames", flows / "flows")
    for picture in list(flows.rglob("*.png")):
        picture.unlink()
        np.save(picture.with_name("flow_1_2.npy"), np.zeros((2, 8, 8), np.float32))
    done = run("init", tmp_path / "y", "--data", flows)
    assert done.exit_code == 2
    assert "has optical flow but no frames" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ufc10", "ufc10/clean_split.csv", "ufc10_frames"])
def test_it_holds_on_real_videos(
    name: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, file = init(tmp_path / "mine", shared / name)
    assert ("this data leaks" in done.stderr) == (name != "ufc10/clean_split.csv")
    monkeypatch.chdir(tmp_path / "mine")
    assert run("check", file).exit_code == 0
    assert run("train", file, "train.batch_size=4", "--dry-run").exit_code == 0
