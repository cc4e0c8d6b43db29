"""Two streams: a model of the frames and a model of their motion (Simonyan, Zisserman 2014, arXiv:1406.2199).

    clip [B, 3 + M, T, H, W]
      |  RGB channels                 |  motion channels (M = 2 of flow, 3 of differences)
    RGB stream                      motion stream          two models with one backbone each
      |                               |
      fusion: logits     mean of their logits, weighted
      fusion: features   summaries [B, J1 + J2], dropout, linear
      |
    logits [B, K]

Axes: B clips, C channels, M motion channels, T frames, H W pixels, J features of a clip, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidcls.models.dropout import Dropout
from vidcls.models.kinds.base import BackboneModel, Features, VideoModel

_RGB = 3


class TwoStream(VideoModel):
    """Model from clips `[B, 3 + M, T, H, W]` to logits `[B, K]`; see the two subclasses.

    Args:
        rgb: Model of the first three channels.
        motion: Model of the other channels.
    """

    def __init__(self, rgb: BackboneModel, motion: BackboneModel) -> None:
        super().__init__()
        self.rgb = rgb
        self.motion = motion

    @property
    def sees_order(self) -> bool:
        """Whether the logits of a stream depend on the order of the frames."""
        return self.rgb.sees_order or self.motion.sees_order

    def leaves(self) -> tuple[BackboneModel, ...]:
        """Both streams, RGB first."""
        return (self.rgb, self.motion)

    def encode(self, clip: Tensor) -> Features:
        """Compute the features of both streams from `[B, 3 + M, T, H, W]`."""
        return (*self.rgb.encode(clip[:, :_RGB]), *self.motion.encode(clip[:, _RGB:]))

    def reduce(self, features: Features) -> Features:
        """Reduce the features of both streams without weights."""
        of_rgb, of_motion = features
        return (self.rgb.reduce_own(of_rgb), self.motion.reduce_own(of_motion))


class LogitFusion(TwoStream):
    """Weighted mean of the logits of both streams.

    Args:
        rgb: Model of the first three channels.
        motion: Model of the other channels.
        rgb_share: Weight of the RGB stream, 0 to 1.
    """

    def __init__(self, rgb: BackboneModel, motion: BackboneModel, *, rgb_share: float) -> None:
        super().__init__(rgb, motion)
        self.rgb_share = rgb_share

    def classify(self, features: Features) -> Tensor:
        """Compute `[B, K]` from the features of both streams."""
        of_rgb, of_motion = features
        return self.rgb_share * self.rgb.head(of_rgb) + (1 - self.rgb_share) * self.motion.head(of_motion)


class FeatureFusion(TwoStream):
    """One linear layer on the summaries of both streams, whose own last layers are removed.

    Args:
        rgb: Model of the first three channels.
        motion: Model of the other channels.
        num_classes: Number of classes K.
        dropout: Dropout before the linear layer.
    """

    def __init__(
        self, rgb: BackboneModel, motion: BackboneModel, *, num_classes: int, dropout: float
    ) -> None:
        super().__init__(rgb, motion)
        for stream in (rgb, motion):
            stream.drop_last_layers()
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(rgb.num_features + motion.num_features, num_classes)

    def classify(self, features: Features) -> Tensor:
        """Compute `[B, K]` from the features of both streams."""
        of_rgb, of_motion = features
        summaries = torch.cat([self.rgb.summary(of_rgb), self.motion.summary(of_motion)], dim=1)
        logits: Tensor = self.classifier(self.dropout(summaries))
        return logits
