from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from vidcls.models.build import build
from vidcls.models.kinds.base import VideoModel
from vidcls.models.kinds.ensemble import Ensemble
from vidcls.models.kinds.frame_statistics import FrameStatistics
from vidcls.models.kinds.two_stream import TwoStream
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import Clip

CLIP = Clip(modality="rgb+flow", frames=4, size=(32, 32))


def make(clip: Clip = CLIP, **section: Any) -> VideoModel:
    parsed: ModelSection = TypeAdapter(ModelSection).validate_python(section, strict=False)
    torch.manual_seed(0)
    return build(parsed, num_classes=5, clip=clip).eval()


def make_clip(batch: int = 3, clip: Clip = CLIP) -> torch.Tensor:
    shape = (batch, clip.num_channels, clip.frames, *clip.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def two(fusion: str, **more: Any) -> TwoStream:
    rgb, motion = {"kind": "frame_average"}, {"kind": "early_fusion"}
    model = make(kind="two_stream", rgb=rgb, motion=motion, fusion=fusion, **more)
    assert isinstance(model, TwoStream)
    return model


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_logits_are_the_weighted_mean_of_two_models_on_their_own_channels(share: float) -> None:
    model = two("logits", rgb_share=share)
    clip = make_clip()
    expected = share * model.rgb(clip[:, :3]) + (1 - share) * model.motion(clip[:, 3:])
    assert torch.allclose(model(clip), expected, atol=1e-6)


def test_features_are_joined_by_one_linear_layer() -> None:
    model = two("features")
    clip = make_clip()
    frames = clip[:, :3].transpose(1, 2).flatten(0, 1)
    rgb = model.rgb.backbone(frames).mean(dim=(2, 3)).reshape(3, 4, -1).mean(dim=1)
    motion = model.motion.backbone(clip[:, 3:].transpose(1, 2).flatten(1, 2)).mean(dim=(2, 3))
    head = model.classifier
    assert isinstance(head, nn.Linear)
    expected = torch.cat([rgb, motion], dim=1) @ head.weight.T + head.bias
    assert torch.allclose(model(clip), expected, atol=1e-5)


def test_the_last_layers_of_the_streams_are_left_out_of_feature_fusion() -> None:
    model = two("features")
    trained = {name for name, _ in model.named_parameters() if "classifier" in name}
    assert trained == {"classifier.weight", "classifier.bias"}


def test_statistics_over_time_are_those_of_numpy() -> None:
    clip = Clip(frames=4, size=(32, 32))
    model = make(clip, kind="frame_statistics")
    x = make_clip(clip=clip)
    (features,) = model.encode(x)
    of_frames = features.detach().numpy()
    expected = torch.from_numpy(np.concatenate([of_frames.mean(axis=1), of_frames.std(axis=1)], axis=1))
    (leaf,) = model.leaves()
    standard = leaf.summary(leaf.reduce_own(features))
    assert torch.allclose(standard, expected / (1 + 1e-5) ** 0.5, atol=1e-5)  # of running statistics 0 and 1


def frozen(**more: Any) -> dict[str, Any]:
    return {"kind": "frame_average", "freeze": ["backbone"], **more}


def test_members_share_what_they_freeze_of_the_same_weights() -> None:
    clip = Clip(frames=4, size=(32, 32))
    member = frozen(weights="default", backbone="resnet18")
    model = make(clip, kind="ensemble", members=[member, {**member, "kind": "late_fusion"}, member])
    assert isinstance(model, Ensemble)
    assert len({id(leaf.backbone) for member in model.members for leaf in member.leaves()}) == 1
    assert len(model.leaves()) == 2  # the mean of the map, and the map
    x = make_clip(clip=clip)
    alone = torch.stack([member(x) for member in model.members]).mean(dim=0)
    assert torch.allclose(model(x), alone, atol=1e-6)
    seen: list[int] = []
    model.leaves()[0].backbone.register_forward_hook(lambda *_: seen.append(1))
    model(x)
    assert len(seen) == 2
    # Random starts differ, so they are not shared.
    apart = make(clip, kind="ensemble", members=[frozen(), frozen()])
    assert len(apart.leaves()) == 2


def test_statistics_of_frozen_backbones_are_standardised_in_feature_fusion_too() -> None:
    """No parameter of such a stream trains, but the means of its features are learned nevertheless."""
    stream = {"kind": "frame_statistics", "freeze": ["backbone"]}
    model = make(kind="two_stream", fusion="features", rgb=stream, motion=stream).train()
    assert isinstance(model, TwoStream)
    model(make_clip(16))
    for one in (model.rgb, model.motion):
        assert isinstance(one, FrameStatistics)
        assert not one.backbone.training
        assert one.standardise.running_mean is not None
        assert one.standardise.running_mean.any()
