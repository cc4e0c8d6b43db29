"""The stages of backbones: known networks, and what must hold of any."""

from __future__ import annotations

import pytest
import torch

from vidcls.models.backbones import backbone_2d, backbone_3d
from vidcls.models.backbones.names import names_3d
from vidcls.models.stages import stages_of

SOME_2D = ["small", "resnet18", "mobilenet_v3_small", "vgg11_bn", "densenet121", "efficientnet_b0",
           "convnext_tiny", "swin_t", "shufflenet_v2_x0_5", "squeezenet1_1"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("small", ["body.2", "body.1", "body.0"]),
        ("resnet18", ["body.layer4", "body.layer3", "body.layer2", "body.layer1", "body.conv1"]),
        ("regnet_y_400mf", ["body.trunk_output.block4", "body.trunk_output.block3", "body.trunk_output.block2",
                            "body.trunk_output.block1", "body.stem"]),
        ("timm/convnext_tiny", [*(f"body.stages.{k}" for k in range(3, -1, -1)), "body.stem"]),
        ("efficientnet_lite0", ["body.head", *(f"body.blocks.{k}" for k in range(15, -1, -1)), "body.stem"]),
        ("efficientnet_b0", [f"body.features.{k}" for k in range(8, -1, -1)]),
    ],
)  # fmt: skip
def test_known_networks(name: str, stages: list[str]) -> None:
    backbone = backbone_2d(name, in_channels=3, size=(64, 64))
    assert [stage.name for stage in stages_of(backbone)] == stages


@pytest.mark.parametrize("name", [*SOME_2D, *(name for name in names_3d() if not name.startswith("mvit"))])
def test_every_parameter_is_in_one_stage(name: str) -> None:
    with torch.device("meta"):
        backbone = (
            backbone_2d(name, in_channels=3, size=(112, 112))
            if name in SOME_2D
            else backbone_3d(name, in_channels=3, clip_shape=(16, 112, 112))
        )
    params = [id(param) for stage in stages_of(backbone) for param in stage.params]
    assert len(params) == len(set(params))
    assert set(params) == {id(param) for param in backbone.parameters()}
    assert len(stages_of(backbone)) >= 3
