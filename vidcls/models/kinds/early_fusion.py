"""One 2D CNN on the frames concatenated along the channels.

    clip [B, C, T, H, W]
      |  frames side by side, channels innermost
    [B, T*C, H, W]
      |  2D backbone, its first convolution widened to T*C
    map [B, F, h, w]
      |  mean over the map, dropout, linear
    logits [B, K]

Axes: B clips, C channels, T frames, H W pixels, F features, h w cells of the map, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from vidcls.models.backbones import backbone_2d
from vidcls.models.kinds.base import BackboneModel
from vidcls.spec.model import EarlyFusionSection


class EarlyFusion(BackboneModel):
    """Clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Backbone and dropout.
        num_classes: K.
        clip_shape: T, H, W; T is fixed by the width of the first convolution.
        in_channels: C.

    Raises:
        UserError: If the backbone is unknown or the frames are too small for it.
    """

    def __init__(
        self,
        section: EarlyFusionSection,
        *,
        num_classes: int,
        clip_shape: tuple[int, int, int],
        in_channels: int,
    ) -> None:
        super().__init__()
        num_frames, *size = clip_shape
        self.backbone = backbone_2d(
            section.backbone, in_channels=in_channels, size=(size[0], size[1]), num_frames=num_frames
        )
        self.encoding = "mean of the map of all frames"
        self.num_features = self.backbone.num_features
        self.dropout = nn.Dropout(section.dropout)
        self.classifier = nn.Linear(self.num_features, num_classes)

    def extract(self, clip: Tensor) -> Tensor:
        """`[B, C, T, H, W]` to `[B, F]`."""
        features: Tensor = self.backbone(clip.transpose(1, 2).flatten(1, 2)).mean(dim=(2, 3))
        return features

    def summary(self, features: Tensor) -> Tensor:
        """They are that: `[B, F]`."""
        return features

    def head(self, features: Tensor) -> Tensor:
        """`[B, F]` to `[B, K]`."""
        logits: Tensor = self.classifier(self.dropout(features))
        return logits
