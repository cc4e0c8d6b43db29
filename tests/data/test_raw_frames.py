"""What a folder of pictures is: frames, flow beside them, and what is neither; by its names, never by guess."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.raw_frames import SIZE, levels_of, write_raw_frames, write_raw_frames_root
from tests.support.training import Experiment, train_here
from tests.support.videos import open_cpu
from vidcls.cli.main import app
from vidcls.data.decoding.flow import quantised, read_fields
from vidcls.data.decoding.frame_folders import look_into
from vidcls.data.manifest import Manifest, read_manifest
from vidcls.errors import UserError, VidclsError
from vidcls.spec.data import DataSection
from vidcls.spec.load import SpecError

MODALITY = {"auto": "rgb", "frames": "rgb", "flows": "flow", "frames+flows": "rgb+flow"}


def read(root: Path, source: str = "auto") -> Manifest:
    return read_manifest(DataSection.model_validate({"root": str(root), "source": source}), cache_dir=None)


def said(manifest: Manifest, kind: str) -> list[str]:
    return [problem.message for problem in manifest.problems if problem.kind == kind]


def seen(manifest: Manifest, store: Path, modality: str, **options: Any) -> np.ndarray:
    """The clips of all frames of all videos, not normalised."""
    channels = {"rgb": 3, "flow": 2, "rgb+flow": 5}[modality]
    levels = {"mean": (0.0,) * channels, "std": (1.0,) * channels}
    clip = {"modality": modality, "frames": options.pop("frames", 5), "size": SIZE, **levels}
    with open_cpu(manifest.videos, store, clip=clip, **options) as clips:
        batches = clips.eval_batches(manifest.videos, batch_size=4)
        return np.concatenate([batch.clip.numpy() for batch in batches])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_raw_frames_root(tmp_path / "root", suffix=".png")


def test_the_scale_is_that_of_dense_flow(tmp_path: Path) -> None:
    _, fields = write_raw_frames(tmp_path / "v")
    assert (read_fields(tmp_path / "v", None, size=SIZE) == quantised(fields)).all()
    # Of any motion the level is half a step off at most; no motion is level 128, and is read as none.
    assert levels_of(np.zeros(1, np.float32)) == 128
    for motion in (-15.5, -3.3, 0.0, 0.4, 9.1):
        wanted = np.full((*SIZE, 2), motion, np.float32)
        for axis, component in zip("xy", np.moveaxis(levels_of(wanted), -1, 0), strict=True):
            Image.fromarray(component).save(tmp_path / "v" / f"flow_{axis}_00001.png")
        found = read_fields(tmp_path / "v", [0], size=SIZE)
        assert abs((found.astype(float) - 128) / 8 - motion).max() < 40 / 255 + 1 / 16, motion
        assert motion or (found == 128).all()


@pytest.mark.parametrize("source", MODALITY)
@pytest.mark.parametrize("residency", ["mapped", "streamed"])
def test_each_source_is_what_the_folder_holds(
    root: Path, tmp_path: Path, source: str, residency: str
) -> None:
    manifest = read(root, source)
    assert len(manifest.videos) == 14
    assert not [problem for problem in manifest.problems if not problem.note]
    frames, fields = write_raw_frames(tmp_path / "again", seed=31)
    (number,) = (k for k, video in enumerate(manifest.videos) if video.id == "val/walk/v3")
    found = seen(manifest, tmp_path / "s", MODALITY[source], data={"residency": residency})[number]
    if "rgb" in MODALITY[source]:
        # Six frames alone, or the five that a field starts at.
        indices = [0, 1, 2, 3, 5] if MODALITY[source] == "rgb" else [0, 1, 2, 3, 4]
        assert np.allclose(found[:3], np.moveaxis(frames[indices] / 255, -1, 0), atol=1e-6)
    if "flow" in MODALITY[source]:
        steps = (quantised(fields) - 128.0) / 8
        assert np.allclose(found[-2:], np.moveaxis(steps, -1, 0), atol=1e-5)


def test_as_many_fields_as_frames_are_those_of_each_frame(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for seed, label in enumerate("ab"):
            frames, _ = write_raw_frames(tmp_path / "r" / split / label / "v", seed=seed, num_fields=6)
    found = seen(read(tmp_path / "r", "frames+flows"), tmp_path / "s", "rgb+flow", frames=6)
    assert np.allclose(found[1, :3], np.moveaxis(frames / 255, -1, 0), atol=1e-6)


def test_flow_that_is_not_read_is_said_and_flow_that_is_read_has_its_scale(root: Path) -> None:
    (note,) = said(read(root), "flow")
    assert "data.source=flows" in note
    assert "data.source=frames+flows" in note
    for source in ("flows", "frames+flows"):
        (note,) = said(read(root, source), "flow")
        assert "(level - 128) x 40 / 255 px" in note


def test_identity_is_what_is_read(root: Path) -> None:
    before = {source: read(root, source).hash for source in MODALITY}
    assert before["auto"] == before["frames"]
    assert len(set(before.values())) == 3
    Image.new("L", SIZE[::-1]).save(root / "train" / "run" / "v0" / "flow_y_00003.png")
    after = {source: read(root, source).hash for source in MODALITY}
    assert [source for source in MODALITY if before[source] != after[source]] == ["flows", "frames+flows"]


def test_a_written_manifest_reads_the_same(root: Path, tmp_path: Path) -> None:
    for source in MODALITY:
        manifest = read(root, source)
        manifest.write_csv(tmp_path / "table.csv")
        again = read(tmp_path / "table.csv", source)
        assert {v.digest for v in again.videos} == {v.digest for v in manifest.videos}, source


def test_one_pattern_of_names_a_folder_and_the_rest_named(root: Path) -> None:
    before = read(root).hash
    Image.new("RGB", (8, 8)).save(root / "train" / "run" / "v0" / "cover.png")
    Image.new("RGB", (8, 8)).save(root / "val" / "run" / "v3" / "img_00001.bmp")
    manifest = read(root)
    assert manifest.hash == before
    (left_out,) = said(manifest, "left_out")
    assert left_out.startswith("2 pictures are not read, because they are not named like the frames")
    assert "train/run/v0: cover.png" in left_out
    assert "val/run/v3: img_00001.bmp" in left_out


def test_numbers_may_be_anywhere_in_a_name_and_need_no_zeros(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        Image.new("RGB", (8, 8)).save(tmp_path / f"v_Run_g01_c02_{number}_rgb.JPG")
    found = look_into(tmp_path)
    assert [file.name for file in found.frames] == [f"v_Run_g01_c02_{n}_rgb.JPG" for n in (1, 2, 10)]
    assert (found.others, found.frames_problem) == ((), None)


def _two_series(folder: Path) -> None:
    for number in range(3):
        Image.new("RGB", (8, 8)).save(folder / f"depth_{number}.png")


def _two_endings(folder: Path) -> None:
    for number in (1, 2):
        Image.new("RGB", (8, 8)).save(folder / f"img_{number:05}.jpg")


def _one_number_twice(folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "img_1.png")


def _no_order(folder: Path) -> None:
    for number in range(1, 7):
        (folder / f"img_{number:05}.png").unlink()
    for name in ("start", "middle", "end"):
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            _two_series,
            r"more than one series of pictures, depth_#\.png \(3 files\) and img_#\.png \(6 files\)",
        ),
        (_two_endings, r"more than one series of pictures, img_#\.jpg \(2 files\) and img_#\.png"),
        (_one_number_twice, r"img_00001\.png and img_1\.png, two pictures with the same number"),
        (_no_order, r"do not show their order: end\.png, middle\.png, start\.png; number them"),
    ],
)
def test_where_frames_are_not_clear_nothing_is_read(
    root: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(root / "train" / "run" / "v0")
    manifest = read(root)
    assert len(manifest.videos) == 13
    (message,) = said(manifest, "unreadable")
    assert message.startswith("train/run/v0: ")
    assert re.search(words, message)
    # The flow beside them is as clear as before.
    assert len(read(root, "flows").videos) == 14


def _no_v(folder: Path) -> None:
    (folder / "flow_y_00002.png").unlink()


def _a_gap(folder: Path) -> None:
    for axis in "xy":
        (folder / f"flow_{axis}_00003.png").unlink()


def _in_two_forms(folder: Path) -> None:
    np.save(folder / "flow_1_2.npy", np.zeros((2, *SIZE)))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_v, "contains flow_x_00002.png without flow_y_00002.png"),
        (_a_gap, "flow picture 3 is missing: found flow_x_00004.png there"),
        (_in_two_forms, "contains flow in two forms: flow_1_2.npy and flow_x_00001.png"),
    ],
)
def test_broken_flow_is_named_and_frames_are_read(
    root: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(root / "train" / "run" / "v0")
    (message,) = said(read(root, "flows"), "unreadable")
    assert words in message
    assert len(read(root).videos) == 14


def _in_colour(folder: Path) -> None:
    Image.new("RGB", SIZE[::-1], "red").save(folder / "flow_x_00002.png")


def _of_sixteen_bits(folder: Path) -> None:
    Image.fromarray(np.zeros(SIZE, np.uint16)).save(folder / "flow_x_00002.png")


def _other_size(folder: Path) -> None:
    Image.new("L", (8, 8)).save(folder / "flow_x_00002.png")


def _cut_short(folder: Path) -> None:
    file = folder / "flow_x_00002.png"
    file.write_bytes(file.read_bytes()[:90])


def _too_few(folder: Path) -> None:
    for axis in "xy":
        (folder / f"flow_{axis}_00005.png").unlink()


def _from_another_number(folder: Path) -> None:
    for axis in "xy":
        for number in (5, 4, 3, 2, 1):
            (folder / f"flow_{axis}_{number:05}.png").rename(folder / f"flow_{axis}_{number + 1:05}.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_in_colour, r"flow_x_00002\.png is a colour picture, not one component \(grey levels\) of flow"),
        (_of_sixteen_bits, r"flow_x_00002\.png is a picture of mode I;16, not of 8-bit grey levels"),
        (_other_size, r"flow_x_00002\.png is \(8, 8\) and flow_y_00002\.png \(24, 32\)"),
        (_cut_short, r"flow_x_00002\.png cannot be read"),
        (_too_few, r"6 frames do not match 4 flow fields: expected as many"),
        (_from_another_number, r"img_00001\.png and flow_x_00002\.png do not match: their numbers differ"),
    ],
)
def test_flow_that_does_not_fit_is_a_bad_video(
    root: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(root / "train" / "run" / "v0")
    with pytest.raises(VidclsError, match=words):
        seen(read(root, "frames+flows"), tmp_path / "s", "rgb+flow")


def test_what_is_asked_for_in_vain_is_refused(root: Path, experiment: Experiment) -> None:
    with pytest.raises(UserError, match=r"data\.source: videos has no effect here"):
        read(root, "videos")
    with pytest.raises(UserError, match=r"has no videos(.|\n)*data\.source=frames\+flows"):
        read(root, "videos+flows")
    for file in root.rglob("flow_*"):
        file.unlink()
    with pytest.raises(UserError, match=r"flows has no effect here: no video has flow fields"):
        read(root, "flows")
    for source, modality, words in (
        ("flows", "rgb+flow", "set frames+flows for folders of frames, or videos+flows for video files"),
        ("flows", "rgb", "set clip.modality: flow"),
        ("frames+flows", "flow", "needs clip.modality: rgb+flow"),
    ):
        with pytest.raises(SpecError) as caught:
            train_here(experiment.spec(data__source=source, clip__modality=modality))
        assert words in str(caught.value)


@pytest.mark.long
def test_from_scan_to_a_trained_run(tmp_path: Path, experiment: Experiment) -> None:
    import vidcls

    root = write_raw_frames_root(tmp_path / "raw")
    result = CliRunner().invoke(app, ["data", "scan", str(root), "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert (found["num_videos"], found["num_frames"]["max"]) == (14, 6)
    streams = {"kind": "two_stream", "rgb": {"kind": "frame_average"}, "motion": {"kind": "early_fusion"}}
    for source, model in (
        ("auto", {"kind": "cnn3d"}),
        ("flows", {"kind": "cnn3d"}),
        ("frames+flows", streams),
    ):
        spec = experiment.spec(
            runs=f"runs-{source}", data__root=str(root), data__source=source, train__epochs=1, model=model,
            clip__modality=MODALITY[source],
        )  # fmt: skip
        run = train_here(spec)
        assert run.provenance()["decoders"] == {"fields" if source == "flows" else "images": 10}
        (prediction,) = vidcls.load(run.folder).predict(root / "test" / "run" / "v5")
        assert prediction.error is None
