"""`vidcls export` of runs with a model or a data set of the user's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

import vidcls
from tests.support.own_dataset import data_of, write_dataset
from tests.support.training import Experiment, train_here
from tests.support.untrained import untrained_run
from vidcls.cli import app
from vidcls.data.manifest import load_manifest
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.folder import Run
from vidcls.spec.data import DataSection

MODELS = Path(__file__).parents[1] / "own_code"
BYTES = """

class Bytes(Squares):
    def __init__(self, disk, split="train", num=6):
        super().__init__(split, num)
        self.disk = Path(disk)

    def __getitem__(self, index):
        self.disk.stat()
        return torch.from_numpy(self.frames(index)).permute(3, 0, 1, 2), self.labels[index]
"""
DECIDING = """
from torch import nn

class Deciding(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(3, num_classes)

    def forward(self, clip):
        means = clip.mean((2, 3, 4))
        if means.sum() > 0:
            means = -means
        return self.head(means)
"""


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


def own_models(folder: Path, name: str) -> dict[str, Any]:
    for file in MODELS.glob("*.py"):
        shutil.copy(file, folder)
    return {"kind": "custom", "target": f"{folder}/own_models.py:{name}"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a model of the user's own, trained on a data set of the user's own that gives bytes."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "disk").touch()
    data = data_of(write_dataset(folder, BYTES), num=12, disk=str(folder / "disk")) | {"workers": 0}
    settings = {"data": data, "model": own_models(folder, "Divided"), "clip__mean": [0.5, 0.4, 0.3]}
    return train_here(Experiment(folder, folder, settings=settings).spec(train__epochs=1))


def disk_of(run: Run) -> Path:
    return Path(run.spec().data.args["disk"])


def items(run: Run) -> torch.Tensor:
    """The clips of val as the model takes them, written down once more from what the spec says."""
    space: dict[str, Any] = {}
    exec((disk_of(run).parent / "own.py").read_text(), space)
    dataset = space["Bytes"](disk_of(run), "val", 12)
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in ([0.5, 0.4, 0.3], [0.225] * 3))
    return torch.stack([(dataset[index][0] / 255 - mean) / std for index in range(12)])


def open_onnx(file: Path) -> Callable[[torch.Tensor], np.ndarray]:
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda clips: session.run(["logits"], {"clip": clips.numpy()})[0]


def open_program(file: Path) -> Callable[[torch.Tensor], np.ndarray]:
    program = torch.export.load(file).module()
    return lambda clips: program(clips).detach().numpy()


@pytest.mark.parametrize("to", ["onnx", "torch-export"])
def test_a_model_and_a_data_set_of_ones_own_compute_the_same(run: Run, to: str, tmp_path: Path) -> None:
    file = tmp_path / ("x.onnx" if to == "onnx" else "x.pt2")
    done = invoke("export", run.folder, "--to", to, "--out", file, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert (result["parity"]["clips"], result["why_random_clips"]) == ("val", None)
    clips = items(run)
    with torch.no_grad():
        right = vidcls.load(run.folder, device="cpu").model(clips).numpy()
    assert right.std() > 1e-3
    compute = open_onnx(file) if to == "onnx" else open_program(file)
    for start, end in ((0, 1), (1, 3), (3, 12)):
        assert compute(clips[start:end]) == pytest.approx(right[start:end], abs=1e-4)
    stored = load_predictions(run.predictions_file("val", "best"))
    assert stored.logits == pytest.approx(right[[int(id_[len("val/") :]) for id_ in stored.ids]], abs=1e-4)


def test_the_file_says_how_its_clips_are_made_and_what_int8_costs(run: Run, tmp_path: Path) -> None:
    done = invoke("export", run.folder, "--to", "onnx", "--int8", "--out", tmp_path / "x.onnx")
    assert done.exit_code == 0, done.output
    target = run.spec().data.target
    rule = (
        f"clips as {target} gives them; if they are uint8: (x / 255 - mean) / std, with mean [0.5, 0.4, 0.3] "
    )
    assert f"it takes float32 [batch, 3, 4, 24, 24]: {rule}" in done.stdout
    assert "next: vidcls predict" not in done.stdout
    for name in ("x", "x-int8"):
        model = onnx.load(tmp_path / f"{name}.onnx")
        said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
        assert said["vidcls.reading"] == {"target": target}
        assert said["vidcls.input"]["clip_rule"].startswith(rule)
        assert said["vidcls.input"]["axes"] == "clips, channels, frames, rows, columns"
        assert (said["vidcls.input"]["shape"], said["vidcls.input"]["dtype"]) == (
            ["batch", 3, 4, 24, 24],
            "float32",
        )
        assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    labels = np.arange(12) % 3
    for key, name in (("top1_float32", "x"), ("top1", "x-int8")):
        found = open_onnx(tmp_path / f"{name}.onnx")(items(run)).argmax(1)
        assert said["vidcls.quantisation"][key] == pytest.approx((found == labels).mean())


@pytest.mark.parametrize("words", [[], ["--window", "1s"]])
def test_videos_are_refused_because_only_the_users_code_can_read_them(
    run: Run, words: list[str], tmp_path: Path, demo: Path
) -> None:
    file = tmp_path / "x.onnx"
    assert invoke("export", run.folder, "--to", "onnx", "--out", file).exit_code == 0
    done = invoke("predict", file, next((demo / "videos" / "val" / "RedLeft").iterdir()), *words)
    assert done.exit_code == 2, done.output
    said = " ".join(done.stderr.split())
    assert (
        f"was trained on {run.spec().data.target}, so only your code knows how a file becomes a clip" in said
    )
    assert f'InferenceSession("{file}").run(None, {{"clip": clips}})' in said
    assert not done.stdout


def test_where_items_fail_clips_are_random_and_int8_is_refused(run: Run, tmp_path: Path) -> None:
    disk = disk_of(run)
    moved = disk.rename(tmp_path / "unplugged")
    try:
        done = invoke("export", run.folder, "--to", "onnx", "--out", tmp_path / "x.onnx")
        refused = invoke("export", run.folder, "--to", "onnx", "--out", tmp_path / "y.onnx", "--int8")
    finally:
        moved.rename(disk)
    assert done.exit_code == 0, done.output
    assert "random clips were compared, not clips of val" in done.stderr
    assert "own.py:" in done.stderr
    assert "FileNotFoundError" in done.stderr
    assert refused.exit_code == 2
    assert "FileNotFoundError" in refused.stderr
    assert not list(tmp_path.glob("y*"))


def test_somebody_elses_code_is_exported_only_if_it_is_trusted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of somebody else"))
    copy = Run(Path(shutil.copytree(run.folder, tmp_path / "runs" / "x" / run.folder.name)))
    source = disk_of(run).parent / "own.py"
    before = source.read_text()
    source.write_text(before + "# edited\n")
    words = ["export", copy.folder, "--to", "onnx"]
    try:
        refused, done = invoke(*words), invoke(*words, "--trust-code")
    finally:
        source.write_text(before)
    assert refused.exit_code == 2
    assert "you have no equal code and have not trained with it" in " ".join(refused.stderr.split())
    assert "--trust-code" in refused.stderr
    assert done.exit_code == 0, done.output
    assert "(8 val clips in batches" in done.stdout


def test_a_model_of_ones_own_on_videos_predicts_them_from_its_file(tmp_path: Path, demo: Path) -> None:
    manifest = load_manifest(DataSection(root=str(demo)), cache_dir=tmp_path / "store")
    run = untrained_run(
        tmp_path,
        name="x",
        model=own_models(tmp_path, "Whole"),
        clip={"frames": 4, "size": [24, 32]},
        data={"root": str(demo), "workers": 1},
        classes=manifest.classes,
        manifest_hash=manifest.hash,
    )
    assert invoke("export", run.folder, "--to", "onnx").exit_code == 0
    video = next((demo / "videos" / "val" / "RedLeft").iterdir())
    found, right = (
        json.loads(invoke("predict", model, video, "--json").stdout)[0]["top"]
        for model in (run.folder / "export" / "best.onnx", run.folder)
    )
    assert [top["class"] for top in found] == [top["class"] for top in right]
    assert [top["probability"] for top in found] == pytest.approx(
        [top["probability"] for top in right], abs=1e-4
    )


def test_a_model_that_decides_by_values_is_refused_with_its_line_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deciding.py"
    file.write_text(DECIDING)
    line = 1 + DECIDING.splitlines().index("        if means.sum() > 0:")
    model = {"kind": "custom", "target": f"{file}:Deciding"}
    run = untrained_run(tmp_path, name="x", model=model, clip={"frames": 4, "size": [24, 32]})
    done = invoke("export", run.folder, "--to", "onnx")
    assert done.exit_code == 1
    said = " ".join(done.stderr.split())
    assert f"({file}:Deciding): torch.export cannot export this model: {run.code_dir}" in said
    assert f"/deciding.py:{line}: " in said
    assert "decisions that depend on values" in said
    assert "aten" not in done.stderr + capfd.readouterr().err  # torch would print the graph so far
    assert not (run.folder / "export").exists()
