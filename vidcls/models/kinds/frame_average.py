"""A 2D CNN that judges each frame alone; the frames' logits are joined.

    clip [B, C, T, H, W]
      |  frames as images
    [B*T, C, H, W]
      |  2D backbone, mean over the map, dropout, linear
    logits of the frames [B, T, K]
      |  mean or max over T
    logits [B, K]

It takes any number of frames and cannot see their order.
Axes: B clips, C channels, T frames, H W pixels, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from vidcls.models.kinds.frame_model import FrameModel
from vidcls.spec.model import FrameAverageSection


class FrameAverage(FrameModel):
    """Clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Backbone, dropout, and how the frames' logits are joined.
        num_classes: K.
        size: H, W.
        in_channels: C.

    Raises:
        UserError: If the backbone is unknown or the frames are too small for it.
    """

    def __init__(
        self, section: FrameAverageSection, *, num_classes: int, size: tuple[int, int], in_channels: int
    ) -> None:
        super().__init__(section.backbone, size=size, in_channels=in_channels)
        self.aggregate = section.aggregate
        self.dropout = nn.Dropout(section.dropout)
        self.classifier = nn.Linear(self.num_features, num_classes)

    def summary(self, features: Tensor) -> Tensor:
        """`[B, T, F]` to `[B, F]`."""
        return features.mean(dim=1) if self.aggregate == "mean" else features.amax(dim=1)

    def head(self, features: Tensor) -> Tensor:
        """`[B, T, F]` to `[B, K]`."""
        logits: Tensor = self.classifier(self.dropout(features))
        return logits.mean(dim=1) if self.aggregate == "mean" else logits.amax(dim=1)
