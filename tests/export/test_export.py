"""`vidcls export`: what it writes and refuses, and predictions of what it wrote."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from tests.support.untrained import untrained_run
from vidcls.cli import app
from vidcls.data.checksums import file_digest
from vidcls.data.manifest import load_manifest
from vidcls.run.folder import Run
from vidcls.spec.data import DataSection

CLIP = {"frames": 4, "size": [24, 32]}
MODEL = {"kind": "late_fusion", "hidden": 32}
# In a process without torch: predicts with each model and says what came out.
PROGRAM = """\
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm", "wandb", "onnx", "onnxscript"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from typer.testing import CliRunner
from vidcls.cli import app
if __name__ == "__main__":
    for words in json.load(sys.stdin):
        done = CliRunner().invoke(app, words)
        print(json.dumps([done.exit_code, done.stdout, done.stderr]), flush=True)
"""


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


def exported(run: Run, *words: object) -> dict[str, Any]:
    done = invoke("export", run.folder, "--to", "onnx", "--json", *words)
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def without_torch(folder: Path, lines: list[list[object]]) -> list[tuple[int, str, str]]:
    words = json.dumps([list(map(str, line)) for line in lines])
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def on_demo(folder: Path, demo: Path, *, name: str = "x", **settings: Any) -> Run:
    """A run on the demo data, whose videos can be read."""
    data = {"root": str(demo), "workers": 1}
    manifest = load_manifest(DataSection(root=str(demo)), cache_dir=folder / "store")
    content = {"model": MODEL, "clip": CLIP, **settings}
    content["clip"] = CLIP | content["clip"]
    return untrained_run(
        folder, name=name, data=data, classes=manifest.classes, manifest_hash=manifest.hash, **content
    )


def probabilities(output: str) -> dict[tuple[str, str], float]:
    return {(p["path"], top["class"]): top["probability"] for p in json.loads(output) for top in p["top"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Run:
    """A run on the demo data, exported once."""
    run = on_demo(tmp_path_factory.mktemp("run"), demo)
    exported(run, "--int8")
    return run


def test_the_file_describes_itself(run: Run) -> None:
    file = run.folder / "export" / "best.onnx"
    properties = {entry.key: json.loads(entry.value) for entry in onnx.load(file).metadata_props}
    assert properties["vidcls.classes"][:2] == ["RedLeft", "RedRight"]
    assert properties["vidcls.clip"]["frames"] == 4
    assert properties["vidcls.input"]["shape"] == ["batch", 4, 24, 32, 3]
    assert "linspace(0, n - 1, 4)" in properties["vidcls.input"]["clip_rule"]
    assert properties["vidcls.fingerprint"] == "0123456789ab"
    assert properties["vidcls.checkpoint_digest"] == file_digest(run.checkpoint_file("best"))
    assert properties["vidcls.leak_state"] == "unknown"
    parity = properties["vidcls.parity"]
    assert parity["clips"] == "val"
    assert (parity["batch_sizes"], parity["tolerance"]) == ([1, 3, 4], 1e-4)
    assert 0 <= parity["max_difference"] <= 1e-4
    assert "vidcls.quantisation" not in properties
    (taken,) = onnx.load(file).graph.input
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_a_program_of_torch_export_describes_itself_too(tmp_path: Path) -> None:
    run = untrained_run(tmp_path, name="x", model=MODEL, clip=CLIP)
    done = invoke("export", run.folder, "--to", "torch-export")
    assert done.exit_code == 0, done.output
    assert "random clips were compared" in done.stderr
    assert "nowhere does not exist" in done.stderr
    extra = {"vidcls.json": ""}
    torch.export.load(run.folder / "export" / "best.pt2", extra_files=extra)
    described = json.loads(extra["vidcls.json"])
    assert described["classes"] == ["Left", "Right", "Still"]
    assert described["parity"]["clips"] == "random"


def test_accuracies_in_int8_are_those_of_its_predictions(run: Run, demo: Path) -> None:
    folder = run.folder / "export"
    entry = {e.key: e.value for e in onnx.load(folder / "best-int8.onnx").metadata_props}
    said = json.loads(entry["vidcls.quantisation"])
    right: dict[str, float] = {}
    labels: dict[str, list[str]] = {}
    for name in ("best", "best-int8"):
        done = invoke("predict", folder / f"{name}.onnx", demo / "videos" / "val", "--top", 1, "--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        labels[name] = [each["top"][0]["class"] for each in found]
        right[name] = float(np.mean([Path(e["path"]).parent.name == e["top"][0]["class"] for e in found]))
    assert said["num_videos"] == len(labels["best"]) == 20
    assert said["top1_float32"] == pytest.approx(right["best"])
    assert said["top1"] == pytest.approx(right["best-int8"])
    same = np.mean([a == b for a, b in zip(*labels.values(), strict=True)])
    assert said["agreement"] == pytest.approx(same)
    assert (folder / "best-int8.onnx").stat().st_size < 0.5 * (folder / "best.onnx").stat().st_size


@pytest.mark.parametrize("words", [[], ["--int8"], ["--out", "best.onnx"]])
def test_no_file_is_overwritten_without_force(run: Run, words: list[str]) -> None:
    file = run.folder / "export" / "best.onnx"
    before = file.read_bytes()
    words = [str(file) if word == "best.onnx" else word for word in words]
    done = invoke("export", run.folder, "--to", "onnx", *words)
    assert done.exit_code == 2
    assert f"{file} exists already" in done.stderr.replace("\n", "")
    assert file.read_bytes() == before
    exported(run, "--force")
    assert json.loads({e.key: e.value for e in onnx.load(file).metadata_props}["vidcls.format"]) == 1


REFUSED = {
    "int8 is onnxruntime's": (["--to", "torch-export", "--int8"], "give --to onnx"),
    "another ending": (["--to", "onnx", "--out", "x.pt2"], "ends in .onnx"),
    "no such checkpoint": (["--to", "onnx", "--checkpoint", "last"], "no checkpoint 'last'"),
    "no data for int8": (["--to", "onnx", "--int8"], "--int8 needs the data of the run"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(name: str, tmp_path: Path) -> None:
    words, says = REFUSED[name]
    run = untrained_run(tmp_path, name="x", model=MODEL, clip=CLIP)
    done = invoke("export", run.folder, *words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert not (run.folder / "export").exists()


def cancel(model: nn.Module) -> None:
    """Weights whose logits are small differences of large numbers: each order of the sums gives others."""
    norm = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)][-1]
    nn.init.constant_(norm.bias, 1e6)
    (last,) = [part for part in model.modules() if isinstance(part, nn.Linear)]
    with torch.no_grad():
        last.weight -= last.weight.mean(dim=1, keepdim=True)


def diverge(model: nn.Module) -> None:
    (last,) = [part for part in model.modules() if isinstance(part, nn.Linear)]
    nn.init.constant_(last.bias, float("nan"))


@pytest.mark.parametrize(
    ("change", "says"), [(cancel, "does not compute what the trained one does"), (diverge, "not finite")]
)
def test_what_computes_something_else_is_not_published(change: Any, says: str, tmp_path: Path) -> None:
    run = untrained_run(tmp_path, name="x", model={"kind": "frame_average"}, clip=CLIP, change=change)
    done = invoke("export", run.folder, "--to", "onnx")
    assert done.exit_code == 1
    assert says in done.stderr
    assert not (run.folder / "export").exists()


READINGS: dict[str, dict[str, Any]] = {
    "squeeze": {},
    "crop-segment": {"clip": {"fit": "crop", "sampling": "segment", "size": [24, 24]}},
    "flow-long": {"clip": {"modality": "rgb+flow", "frames": 40}, "model": {"kind": "frame_average"}},
    "difference": {"clip": {"modality": "rgb+difference"}},
}


def test_predictions_without_torch_are_those_of_the_run(tmp_path: Path, demo: Path) -> None:
    videos = demo / "videos" / "val" / "RedLeft"
    (tmp_path / "broken.avi").write_bytes((next(videos.iterdir())).read_bytes()[:900])
    words: list[list[object]] = []
    right: list[dict[tuple[str, str], float]] = []
    for name, settings in READINGS.items():
        run = on_demo(tmp_path, demo, name=name, **settings)
        exported(run, "--out", tmp_path / f"{name}.onnx")
        words.append(["predict", tmp_path / f"{name}.onnx", videos, tmp_path / "broken.avi", "--json"])
        done = invoke("predict", run.folder, *words[-1][2:])
        assert done.exit_code == 3, done.output
        right.append(probabilities(done.stdout))
    words += [["predict", tmp_path / "squeeze.onnx", videos, "--csv"]]
    for (code, output, said), expected in zip(without_torch(tmp_path, words), [*right, None], strict=True):
        if expected is None:
            assert code == 0, said
            assert len(list(csv.reader(output.splitlines()))) == 1 + 5 * len(list(videos.iterdir()))
            continue
        assert code == 3, said
        assert "broken.avi" in said
        found = probabilities(output)
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, abs=1e-4)


def test_without_the_packages_of_the_extra_it_says_what_to_install(run: Run, tmp_path: Path) -> None:
    ((code, _, said),) = without_torch(tmp_path, [["export", run.folder, "--to", "onnx", "--force"]])
    assert code == 2
    assert "onnx and onnxscript, which are not installed" in said
    assert "pip install 'vidcls[export]'" in said


def test_other_files_are_no_models_of_vidcls(run: Run, tmp_path: Path, demo: Path) -> None:
    video = next((demo / "videos" / "val" / "RedLeft").iterdir())
    model = onnx.load(run.folder / "export" / "best.onnx")
    entries = {entry.key: entry for entry in model.metadata_props}
    entries["vidcls.clip"].value = '{"frames": 0}'
    onnx.save(model, tmp_path / "damaged.onnx")
    entries["vidcls.format"].value = "2"
    onnx.save(model, tmp_path / "newer.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    for name, says in {
        "damaged": "its metadata is damaged: clip.frames",
        "newer": "exported in format 2, this version reads 1",
        "foreign": "not a model that vidcls exported",
        "text": "onnxruntime cannot read it",
        "absent": "no such file",
    }.items():
        done = invoke("predict", tmp_path / f"{name}.onnx", video)
        assert done.exit_code == 2, done.output
        assert says in done.stderr
    done = invoke("predict", run.folder / "export" / "best.onnx", video, "--checkpoint", "last")
    assert done.exit_code == 2
    assert "--checkpoint: has no effect with an ONNX file" in done.stderr


def test_predictions_on_real_videos_are_those_of_the_run(shared: Path, tmp_path: Path) -> None:
    run = untrained_run(tmp_path, name="x", model=MODEL, clip={"frames": 6, "size": 64, "fit": "crop"})
    exported(run, "--out", tmp_path / "x.onnx")
    videos = sorted((shared / "ufc10" / "videos" / "val").rglob("*.avi"))[::8]
    ((code, output, said),) = without_torch(tmp_path, [["predict", tmp_path / "x.onnx", *videos, "--json"]])
    assert code == 0, said
    done = invoke("predict", run.folder, *videos, "--json")
    assert probabilities(output) == pytest.approx(probabilities(done.stdout), abs=1e-4)
