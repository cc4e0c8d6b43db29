"""Flow that was computed before: the course's flows/*.npy, and what is refused in their place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.roots import Clip, build
from tests.support.training import Experiment, train_here
from tests.support.videos import open_cpu, video
from vidcls.cli.main import app
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.flow import probe_fields, quantised, read_fields, resized
from vidcls.data.manifest import read_manifest
from vidcls.errors import UserError, VidclsError
from vidcls.spec.data import DataSection

SIZE = (16, 20)


def write_fields(folder: Path, *, num: int = 9, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Write `flow_1_2.npy` and so on, as the course does; `[n, H, W, 2]`."""
    folder.mkdir(parents=True)
    fields = np.random.default_rng(seed).normal(0, 3, (num, 2, *size))
    for number, field in enumerate(fields, start=1):
        np.save(folder / f"flow_{number}_{number + 1}.npy", field)
    return fields.transpose(0, 2, 3, 1).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path, clips: tuple[Clip, ...]) -> Path:
    """A course root with frames and flows, and no videos."""
    root = build("course-frames", tmp_path / "root", clips)
    for number, clip in enumerate(clips):
        write_fields(root / "flows" / clip.split / clip.action / clip.name, seed=number)
    return root


def read(root: Path, source: str = "flows"):  # type: ignore[no-untyped-def]
    return read_manifest(DataSection.model_validate({"root": str(root), "source": source}), cache_dir=None)


def test_fields_come_in_natural_order_in_pixels_of_the_stored_size(tmp_path: Path) -> None:
    fields = write_fields(tmp_path / "v", num=11)
    assert probe_fields(tmp_path / "v") == (11, *SIZE)
    assert (read_fields(tmp_path / "v", None, size=SIZE) == quantised(fields)).all()
    small = read_fields(tmp_path / "v", [10, 1, 1], size=(8, 10))
    assert (small == np.stack([quantised(resized(fields[k], (8, 10))) for k in (10, 1, 1)])).all()
    with pytest.raises(DecodeError, match="ends before"):
        read_fields(tmp_path / "v", [11], size=SIZE)


def test_nine_fields_of_ten_frames_are_a_video(root: Path, clips: tuple[Clip, ...], tmp_path: Path) -> None:
    manifest = read(root)
    assert manifest.layout == "course (flows)"
    assert len(manifest.videos) == len(clips)
    assert not [problem for problem in manifest.problems if problem.fatal]
    seen = {}
    for residency in ("mapped", "streamed", "memory", "device"):
        clip = {"modality": "flow", "frames": 9, "size": SIZE, "std": (1.0, 1.0)}
        with open_cpu(manifest.videos, tmp_path / "s", clip=clip, data={"residency": residency}) as opened:
            assert set(opened.decoders.values()) == {"fields"}
            batches = opened.eval_batches(manifest.videos, batch_size=5)
            seen[residency] = np.concatenate([batch.clip.numpy() for batch in batches])
    expected = np.stack([read_fields(found.path, None, size=SIZE) for found in manifest.videos])
    assert np.allclose(seen["mapped"], (expected.transpose(0, 4, 1, 2, 3) - 128.0) / 8, atol=1e-5)
    assert all((made == seen["mapped"]).all() for made in seen.values())


def test_identity_covers_every_field(root: Path) -> None:
    before = read(root).hash
    np.save(next(root.glob("flows/val/*/*/flow_3_4.npy")), np.ones((2, *SIZE)))
    assert read(root).hash != before


def test_a_manifest_lists_folders_of_fields(root: Path, tmp_path: Path) -> None:
    manifest = read(root)
    manifest.write_csv(tmp_path / "table.csv")
    again = read(tmp_path / "table.csv", source="auto")
    assert {(v.path.resolve(), v.digest) for v in again.videos} == {
        (v.path.resolve(), v.digest) for v in manifest.videos
    }


def _no_third(folder: Path) -> None:
    (folder / "flow_3_4.npy").unlink()


def _three_channels(folder: Path) -> None:
    np.save(folder / "flow_2_3.npy", np.zeros((3, *SIZE)))


def _whole_numbers(folder: Path) -> None:
    np.save(folder / "flow_2_3.npy", np.zeros((2, *SIZE), np.uint8))


def _not_finite(folder: Path) -> None:
    np.save(folder / "flow_2_3.npy", np.full((2, *SIZE), np.nan))


def _other_size(folder: Path) -> None:
    np.save(folder / "flow_2_3.npy", np.zeros((2, 8, 8)))


def _cut_short(folder: Path) -> None:
    file = folder / "flow_2_3.npy"
    file.write_bytes(file.read_bytes()[:200])


def _a_pickle(folder: Path) -> None:
    np.save(folder / "flow_2_3.npy", np.array([{"u": 1}], dtype=object))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_third, r"flow_3_4\.npy is missing: found flow_4_5\.npy there"),
        (_three_channels, r"flow_2_3\.npy contains float64 \(3, 16, 20\), but floats \(2, H, W\)"),
        (_whole_numbers, r"flow_2_3\.npy contains uint8"),
        (_not_finite, r"not finite"),
        (_other_size, r"field 2 is \(8, 8\) and the first one \(16, 20\)"),
        (_cut_short, r"flow_2_3\.npy cannot be read"),
        (_a_pickle, r"flow_2_3\.npy cannot be read"),
    ],
)
def test_a_broken_folder_is_a_bad_video(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    write_fields(tmp_path / "v")
    spoil(tmp_path / "v")
    with pytest.raises(VidclsError, match=said):
        open_cpu([video(tmp_path / "v")], tmp_path / "s", clip={"modality": "flow"})


@pytest.mark.parametrize("modality", ["rgb", "difference"])
def test_fields_are_no_frames(tmp_path: Path, modality: str) -> None:
    write_fields(tmp_path / "v")
    with pytest.raises(VidclsError, match=r"contains flow fields, not frames: set clip\.modality=flow"):
        open_cpu([video(tmp_path / "v")], tmp_path / "s", clip={"modality": modality})


def test_colour_wheels_are_refused(root: Path) -> None:
    shutil.copytree(root / "flows", root / "flows_png")
    picture = next(root.glob("flows/train/*/*")) / "flow_1_2.png"
    Image.new("RGB", (20, 16)).save(picture)
    with pytest.raises(UserError, match=r"the picture flow_1_2\.png, and \(u, v\) cannot be computed"):
        read(root)
    shutil.rmtree(root / "flows")
    with pytest.raises(UserError, match=r"has only flows_png/, and \(u, v\)(.|\n)*clip\.modality=flow"):
        read(root)
    shutil.rmtree(root / "frames")
    with pytest.raises(UserError, match=r"has only flows_png/"):
        read(root)


def test_what_is_there_is_said(root: Path) -> None:
    assert read(root, "auto").layout == "course (frames)"
    with pytest.raises(UserError, match=r"videos, but .* has only frames/ and flows/"):
        read(root, "videos")
    shutil.rmtree(root / "frames")
    assert read(root, "auto").layout == "course (flows)"


def test_scan_shows_a_root_of_flows(root: Path) -> None:
    result = CliRunner().invoke(app, ["data", "scan", str(root), "--source", "flows", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert found["sizes"] == {"20x16": 18}
    assert found["num_frames"]["max"] == 9


def test_training_on_fields(root: Path, clips: tuple[Clip, ...], experiment: Experiment) -> None:
    import vidcls

    spec = experiment.spec(
        data__root=str(root), data__source="flows", clip__modality="flow", clip__frames=9, train__epochs=1,
        model={"kind": "early_fusion"},
    )  # fmt: skip
    run = train_here(spec)
    assert run.provenance()["decoders"] == {"fields": 12}
    folder = root / "flows" / clips[0].split / clips[0].action / clips[0].name
    (prediction,) = vidcls.load(run.folder).predict(folder)
    assert prediction.error is None
    # A file of video is as good: its flow is computed.
    (prediction,) = vidcls.load(run.folder).predict(clips[0].file)
    assert prediction.error is None
