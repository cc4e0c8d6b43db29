"""2D CNN on each frame; the mean and the standard deviation of its features over time are classified.

    clip [B, C, T, H, W]
      |  frames as images
    [B*T, C, H, W]
      |  2D backbone, mean over the map
    features of the frames [B, T, F]
      |  mean over T, standard deviation over T
    statistics [B, 2 F]
      |  standardised feature by feature (batch normalisation without factors)
    [B, 2 F]
      |  dropout, linear
    logits [B, K]

It takes any number of frames and does not depend on their order, but on how much they change. The small head
suits small data sets and a frozen backbone.
Axes: B clips, C channels, T frames, H W pixels, F features, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidcls.models.kinds.frame_model import FrameModel
from vidcls.spec.model import FrameStatisticsSection
from vidcls.spec.sections import Clip


class FrameStatistics(FrameModel):
    """Model from clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Section with backbone and dropout.
        num_classes: Number of classes K.
        clip: Clip section with C, H, W.

    Raises:
        UserError: If the backbone is unknown or the frames are too small for it.
    """

    def __init__(self, section: FrameStatisticsSection, *, num_classes: int, clip: Clip) -> None:
        super().__init__(section, clip=clip)
        num_features = 2 * self.num_features  # mean and standard deviation
        self.standardise = nn.BatchNorm1d(num_features, affine=False)
        self.end_with(num_features=num_features, num_classes=num_classes, dropout=section.dropout)

    def reduce_own(self, features: Tensor) -> Tensor:
        """Compute `[B, 2 F]` from `[B, T, F]`."""
        mean = features.mean(dim=1)
        # Statistics over all T frames, so without Bessel's correction.
        spread = (features - mean[:, None]).square().mean(dim=1).clamp_min(1e-12).sqrt()
        return torch.cat([mean, spread], dim=1)

    def summary(self, features: Tensor) -> Tensor:
        """Standardise `[B, 2 F]`."""
        standard: Tensor = self.standardise(features)
        return standard
