"""Builds a model from its section: the only place that maps kinds to classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from torch import nn

from vidcls.models.error_context import in_part
from vidcls.models.freezing import freeze, is_frozen
from vidcls.models.kinds.base import BackboneModel, VideoModel
from vidcls.models.kinds.cnn3d import CNN3D
from vidcls.models.kinds.custom import CustomModel
from vidcls.models.kinds.early_fusion import EarlyFusion
from vidcls.models.kinds.ensemble import Ensemble
from vidcls.models.kinds.frame_average import FrameAverage
from vidcls.models.kinds.frame_statistics import FrameStatistics
from vidcls.models.kinds.late_fusion import LateFusion
from vidcls.models.kinds.two_stream import FeatureFusion, LogitFusion, TwoStream
from vidcls.spec.model import (
    CNN3DSection,
    CustomSection,
    EarlyFusionSection,
    EnsembleSection,
    FrameAverageSection,
    FrameStatisticsSection,
    LateFusionSection,
    ModelSection,
    SingleModelSection,
    TwoStreamSection,
)
from vidcls.spec.sections import Clip


def build(section: ModelSection, *, num_classes: int, clip: Clip) -> VideoModel:
    """Build a randomly initialised model: `forward(clip [B, C, T, H, W]) -> logits [B, K]`.

    Its weights are drawn from torch's global generator, in the order of construction. The parts that the
    section freezes are frozen.

    Args:
        section: Section of the model.
        num_classes: Number of classes K.
        clip: Clip section with C, T, H and W.

    Raises:
        UserError: If a backbone is unknown, of the wrong family, or cannot take such clips, if a frozen part
            is unknown or is the whole model, or if code of the user is not found or gives no logits.
    """
    model = _build(section, num_classes=num_classes, clip=clip)
    if isinstance(section, SingleModelSection | CustomSection):
        freeze(model, section, root=model.named_root)
    return model


def _build(section: ModelSection, *, num_classes: int, clip: Clip) -> VideoModel:
    match section:
        case CNN3DSection():
            return CNN3D(section, num_classes=num_classes, clip=clip)
        case FrameAverageSection():
            return FrameAverage(section, num_classes=num_classes, clip=clip)
        case FrameStatisticsSection():
            return FrameStatistics(section, num_classes=num_classes, clip=clip)
        case EarlyFusionSection():
            return EarlyFusion(section, num_classes=num_classes, clip=clip)
        case LateFusionSection():
            return LateFusion(section, num_classes=num_classes, clip=clip)
        case CustomSection():
            return CustomModel(section, num_classes=num_classes, clip=clip)
        case TwoStreamSection():
            return _two_stream(section, num_classes=num_classes, clip=clip)
        case EnsembleSection():
            members: list[VideoModel] = []
            for number, member in enumerate(section.members):
                with in_part(f"members.{number}"):
                    members.append(build(member, num_classes=num_classes, clip=clip))
            _share_frozen(members, section)
            return Ensemble(members, aggregate=section.aggregate)
        case _:
            assert_never(section)


def _two_stream(section: TwoStreamSection, *, num_classes: int, clip: Clip) -> TwoStream:
    streams: list[BackboneModel] = []
    sections = {"rgb": section.rgb, "motion": section.motion}
    for (name, own), part in zip(sections.items(), clip.parts, strict=True):
        with in_part(name):
            stream = build(own, num_classes=num_classes, clip=clip.part(part))
        assert isinstance(stream, BackboneModel), "a stream has one backbone"
        stream.sees = part
        streams.append(stream)
    rgb, motion = streams
    if section.fusion == "logits":
        share = 0.5 if section.rgb_share is None else section.rgb_share
        return LogitFusion(rgb, motion, rgb_share=share)
    return FeatureFusion(rgb, motion, num_classes=num_classes, dropout=section.dropout)


def _share_frozen(members: Sequence[VideoModel], section: EnsembleSection) -> None:
    """Let members that freeze the same pretrained backbone, in the same position, share one instance."""
    seen: dict[tuple[object, ...], nn.Module] = {}
    for member, own in zip(members, section.members, strict=True):
        ours = [leaf for leaf in member.leaves() if not isinstance(leaf, CustomModel)]
        for leaf, single in zip(ours, own.singles(), strict=True):
            if single.weights is not None and is_frozen(leaf.backbone):
                kind = (leaf.sees, single.backbone, single.weights, repr(leaf.backbone))
                leaf.backbone = seen.setdefault(kind, leaf.backbone)
