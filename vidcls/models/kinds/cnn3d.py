"""A 3D CNN on the stacked frames.

    clip [B, C, T, H, W]
      |  3D backbone: convolutions over time and space, mean over what is left of both
    features [B, F]
      |  dropout, linear
    logits [B, K]

Axes: B clips, C channels, T frames, H W pixels, F features, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from vidcls.models.backbones import backbone_3d
from vidcls.models.kinds.base import BackboneModel
from vidcls.spec.model import CNN3DSection


class CNN3D(BackboneModel):
    """Clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Backbone and dropout.
        num_classes: K.
        clip_shape: T, H, W.
        in_channels: C.

    Raises:
        UserError: If the backbone is unknown or the clips do not suit it.
    """

    def __init__(
        self, section: CNN3DSection, *, num_classes: int, clip_shape: tuple[int, int, int], in_channels: int
    ) -> None:
        super().__init__()
        self.backbone = backbone_3d(section.backbone, in_channels=in_channels, clip_shape=clip_shape)
        self.encoding = "features of the clip"
        self.num_features = self.backbone.num_features
        self.dropout = nn.Dropout(section.dropout)
        self.classifier = nn.Linear(self.num_features, num_classes)

    def extract(self, clip: Tensor) -> Tensor:
        """`[B, C, T, H, W]` to `[B, F]`."""
        features: Tensor = self.backbone(clip)
        return features

    def summary(self, features: Tensor) -> Tensor:
        """They are that: `[B, F]`."""
        return features

    def head(self, features: Tensor) -> Tensor:
        """`[B, F]` to `[B, K]`."""
        logits: Tensor = self.classifier(self.dropout(features))
        return logits
