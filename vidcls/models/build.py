"""A model section to a model: the one place where kinds and classes meet."""

from __future__ import annotations

from vidcls.models.cnn3d import CNN3D
from vidcls.models.early_fusion import EarlyFusion
from vidcls.models.ensemble import Ensemble
from vidcls.models.frame_average import FrameAverage
from vidcls.models.late_fusion import LateFusion
from vidcls.models.video_model import VideoModel
from vidcls.spec.model import (
    CNN3DSection,
    EarlyFusionSection,
    EnsembleSection,
    FrameAverageSection,
    LateFusionSection,
    ModelSection,
)
from vidcls.spec.sections import Clip


def build(section: ModelSection, *, num_classes: int, clip: Clip) -> VideoModel:
    """A freshly initialised model: `forward(clip [B, C, T, H, W]) -> logits [B, K]`.

    Its weights are drawn from torch's global generator, in the order of construction.

    Args:
        section: What to build.
        num_classes: K.
        clip: C, T, H and W.

    Raises:
        UserError: If a backbone is unknown, of the wrong family, or cannot take such clips.
    """
    shape, in_channels = (clip.frames, *clip.size), clip.num_channels
    match section:
        case CNN3DSection():
            return CNN3D(section, num_classes=num_classes, clip_shape=shape, in_channels=in_channels)
        case FrameAverageSection():
            return FrameAverage(section, num_classes=num_classes, size=clip.size, in_channels=in_channels)
        case EarlyFusionSection():
            return EarlyFusion(section, num_classes=num_classes, clip_shape=shape, in_channels=in_channels)
        case LateFusionSection():
            return LateFusion(section, num_classes=num_classes, clip_shape=shape, in_channels=in_channels)
        case EnsembleSection():
            members = [build(member, num_classes=num_classes, clip=clip) for member in section.members]
            return Ensemble(members, aggregate=section.aggregate)
