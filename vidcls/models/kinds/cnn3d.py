"""3D CNN on the stacked frames.

    clip [B, C, T, H, W]
      |  3D backbone: convolutions over time and space, mean over the remaining positions
    features [B, F]
      |  dropout, linear
    logits [B, K]

Axes: B clips, C channels, T frames, H W pixels, F features, K classes.
"""

from __future__ import annotations

from torch import Tensor

from vidcls.models.backbones import backbone_3d
from vidcls.models.kinds.base import BackboneModel
from vidcls.spec.model import CNN3DSection
from vidcls.spec.sections import Clip


class CNN3D(BackboneModel):
    """Model from clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Section with backbone and dropout.
        num_classes: Number of classes K.
        clip: Clip section with C, T, H, W.

    Raises:
        UserError: If the backbone is unknown or cannot take such clips.
    """

    encoding = "features of the clip"
    sees_order = True

    def __init__(self, section: CNN3DSection, *, num_classes: int, clip: Clip) -> None:
        super().__init__()
        self.backbone = backbone_3d(
            section.backbone, in_channels=clip.num_channels, clip_shape=(clip.frames, *clip.size)
        )
        num_features = self.backbone.num_features
        self.end_with(num_features=num_features, num_classes=num_classes, dropout=section.dropout)

    def extract(self, clip: Tensor) -> Tensor:
        """Compute `[B, F]` from `[B, C, T, H, W]`."""
        features: Tensor = self.backbone(clip)
        return features
