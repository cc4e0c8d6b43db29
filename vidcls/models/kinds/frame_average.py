"""2D CNN that classifies each frame alone; the logits of the frames are joined.

    clip [B, C, T, H, W]
      |  frames as images
    [B*T, C, H, W]
      |  2D backbone, mean over the map, dropout, linear
    logits of the frames [B, T, K]
      |  mean or max over T
    logits [B, K]

It takes any number of frames and does not depend on their order.
Axes: B clips, C channels, T frames, H W pixels, K classes.
"""

from __future__ import annotations

from torch import Tensor

from vidcls.models.kinds.frame_model import FrameModel
from vidcls.spec.model import FrameAverageSection
from vidcls.spec.sections import Clip


class FrameAverage(FrameModel):
    """Model from clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Section with backbone, dropout, and the way in which logits are joined.
        num_classes: Number of classes K.
        clip: Clip section with C, H, W.

    Raises:
        UserError: If the backbone is unknown or the frames are too small for it.
    """

    def __init__(self, section: FrameAverageSection, *, num_classes: int, clip: Clip) -> None:
        super().__init__(section, clip=clip)
        self.aggregate = section.aggregate
        self.end_with(num_features=self.num_features, num_classes=num_classes, dropout=section.dropout)

    def summary(self, features: Tensor) -> Tensor:
        """Compute `[B, F]` from `[B, T, F]`."""
        return features.mean(dim=1) if self.aggregate == "mean" else features.amax(dim=1)

    def head(self, features: Tensor) -> Tensor:
        """Compute `[B, K]` from `[B, T, F]`."""
        logits: Tensor = self.classifier(self.dropout(features))
        return logits.mean(dim=1) if self.aggregate == "mean" else logits.amax(dim=1)
