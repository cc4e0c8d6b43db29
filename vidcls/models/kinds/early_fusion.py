"""2D CNN on the frames concatenated along the channels.

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

from torch import Tensor

from vidcls.models.backbones import backbone_2d
from vidcls.models.kinds.base import BackboneModel
from vidcls.spec.model import EarlyFusionSection
from vidcls.spec.sections import Clip


class EarlyFusion(BackboneModel):
    """Model from clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Section with backbone and dropout.
        num_classes: Number of classes K.
        clip: Clip section with C, T, H, W; the first convolution fixes T.

    Raises:
        UserError: If the backbone is unknown or the frames are too small for it.
    """

    encoding = "mean of the map of all frames"
    sees_order = True

    def __init__(self, section: EarlyFusionSection, *, num_classes: int, clip: Clip) -> None:
        super().__init__()
        self.backbone = backbone_2d(
            section.backbone, in_channels=clip.num_channels, size=clip.size, num_frames=clip.frames
        )
        num_features = self.backbone.num_features
        self.end_with(num_features=num_features, num_classes=num_classes, dropout=section.dropout)

    def extract(self, clip: Tensor) -> Tensor:
        """Compute `[B, F]` from `[B, C, T, H, W]`."""
        features: Tensor = self.backbone(clip.transpose(1, 2).flatten(1, 2)).mean(dim=(2, 3))
        return features
