"""Base class of models that keep one vector per frame, so that they can share stored features.

    clip [B, C, T, H, W]
      |  frames as images
    [B*T, C, H, W]
      |  2D backbone, mean over the map
    features of the frames [B, T, F]

Axes: B clips, C channels, T frames, H W pixels, F features.
"""

from __future__ import annotations

from torch import Tensor

from vidcls.models.backbones import backbone_2d
from vidcls.models.frames import fold_time, unfold_time
from vidcls.models.kinds.base import BackboneModel
from vidcls.spec.model import SingleModelSection
from vidcls.spec.sections import Clip


class FrameModel(BackboneModel):
    """2D backbone on each frame; the subclass classifies its features.

    Args:
        section: Section with the backbone.
        clip: Clip section with C, H, W.

    Raises:
        UserError: If the backbone is unknown or the frames are too small for it.
    """

    encoding = "mean of the map of each frame"
    sees_order = False

    def __init__(self, section: SingleModelSection, *, clip: Clip) -> None:
        super().__init__()
        self.backbone = backbone_2d(section.backbone, in_channels=clip.num_channels, size=clip.size)
        self.num_features = self.backbone.num_features

    def extract(self, clip: Tensor) -> Tensor:
        """Compute `[B, T, F]` from `[B, C, T, H, W]`."""
        return unfold_time(self.backbone(fold_time(clip)).mean(dim=(2, 3)), clip=clip)
