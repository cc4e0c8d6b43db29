"""`vidcls model list` and `model show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from typer.testing import CliRunner

from vidcls.cli.main import app
from vidcls.models.build import build
from vidcls.models.describe import describe
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import Clip

CLIP = Clip(frames=4, size=(32, 32))


def parse(**section: object) -> ModelSection:
    parsed: ModelSection = TypeAdapter(ModelSection).validate_python(section, strict=False)
    return parsed


@pytest.mark.parametrize("kind", ["cnn3d", "frame_average", "early_fusion", "late_fusion"])
def test_stages_hold_every_parameter_once(kind: str) -> None:
    section = parse(kind=kind)
    summary = describe(section, clip=CLIP, num_classes=7)
    model = build(section, num_classes=7, clip=CLIP)
    num_params = sum(param.numel() for param in model.parameters())
    assert summary.num_params == summary.num_trainable == num_params
    assert sum(stage.num_params for stage in summary.stages) == num_params
    assert summary.stages[-1].shape[-1] == 7


def test_flops_of_a_known_layer() -> None:
    """With hand-counted convolutions: 2 * places * 9 * channels in * channels out, and the linear layer."""
    summary = describe(parse(kind="early_fusion"), clip=CLIP, num_classes=7)
    expected = 2 * 9 * (32 * 32 * 12 * 32 + 16 * 16 * 32 * 64 + 8 * 8 * 64 * 128) + 2 * 128 * 7
    assert summary.gflops == pytest.approx(expected / 1e9)


def test_two_members_cost_twice() -> None:
    one = describe(parse(kind="cnn3d"), clip=CLIP, num_classes=7)
    two = describe(
        parse(kind="ensemble", members=[{"kind": "cnn3d"}, {"kind": "cnn3d"}]), clip=CLIP, num_classes=7
    )
    assert two.num_params == 2 * one.num_params
    assert two.gflops == pytest.approx(2 * one.gflops)
    assert len(two.stages) == 2 * len(one.stages)


def test_describing_draws_no_memory_of_the_clip() -> None:
    """A clip of 300 GB is followed through the network as well as a small one."""
    summary = describe(parse(kind="cnn3d"), clip=Clip(frames=4096, size=(2048, 2048)), num_classes=2)
    assert summary.stages[0].shape == (1, 32, 4096, 1024, 1024)
    assert not torch.empty(0).is_meta


def test_show_and_list(tmp_path: Path) -> None:
    spec = tmp_path / "x.yaml"
    spec.write_text("name: x\nclip: {frames: 4, size: [32, 32]}\nmodel: {kind: late_fusion}\n")
    runner = CliRunner()
    shown = runner.invoke(app, ["model", "show", str(spec), "--json", "model.join=gru", "--classes", "3"])
    summary = json.loads(shown.stdout)
    assert summary["kind"] == "late_fusion"
    assert summary["stages"][-1]["shape"] == [1, 3]
    assert any(stage["module"] == "GRU" for stage in summary["stages"])
    assert "GFLOPs" in runner.invoke(app, ["model", "show", str(spec)]).stdout
    listed = json.loads(runner.invoke(app, ["model", "list", "--json"]).stdout)
    assert "small" in listed["2d"]
    assert "resnet18" in listed["2d"]
    assert "r3d_18" in listed["video"]
    assert not any(name.startswith("vit_") for name in listed["2d"])
    assert "mvit_v2_s" in runner.invoke(app, ["model", "list"]).stdout


def test_a_wrong_backbone_is_a_message(tmp_path: Path) -> None:
    spec = tmp_path / "x.yaml"
    spec.write_text("name: x\nmodel: {kind: cnn3d, backbone: resnet8}\n")
    result = CliRunner().invoke(app, ["model", "show", str(spec)])
    assert result.exit_code == 2
    assert "vidcls model list" in result.output
