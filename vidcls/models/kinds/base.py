"""What every model has in common: features of its backbones first, then logits.

The seam between the two is where frozen backbones are cut off: what they give of a clip never changes, so it
is computed once, stored, and only `classify` is trained.

Axes: B clips, C channels, T frames, H W pixels, F features, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from vidcls.models.freezing import hold_still, is_frozen

Features = Sequence[Tensor]
"""What the backbones of a model give of B clips: a tensor `[B, ...]` each."""


_FROZEN_FRAMES = 128
"""That a frozen backbone takes at once: more cost memory, and on a CPU time, and gain nothing."""


class VideoModel(nn.Module, ABC):
    """Clips `[B, C, T, H, W]` to logits `[B, K]`."""

    @property
    @abstractmethod
    def sees_order(self) -> bool:
        """Whether the logits depend on the order of the frames."""

    @abstractmethod
    def leaves(self) -> tuple[BackboneModel, ...]:
        """The models with one backbone that this is made of, each backbone once, as `encode` orders them."""

    @abstractmethod
    def encode(self, clip: Tensor) -> Features:
        """`[B, C, T, H, W]` to the features of each leaf."""

    @abstractmethod
    def classify(self, features: Features) -> Tensor:
        """The features of each leaf to logits `[B, K]`."""

    def forward(self, clip: Tensor) -> Tensor:
        """`[B, C, T, H, W]` to `[B, K]`."""
        return self.classify(self.encode(clip))

    def train(self, mode: bool = True) -> Self:
        """Into training, but for what is frozen: nothing of it moves. Or all into evaluation."""
        super().train(mode)
        if mode:
            hold_still(self)
        return self


class BackboneModel(VideoModel):
    """A model with one backbone, its own leaf.

    A subclass makes its layers in its constructor, the last ones by `end_with`, and defines `extract`. Where
    that gives more than one vector a clip, it defines `summary` too. One whose last layers are not a dropout
    and a linear layer defines `head` and `drop_last_layers`.

    Attributes:
        backbone: The part that weights may be loaded into; everything else is the head.
        encoding: What `extract` keeps of what the backbone gives, in words: equal words and equal backbones
            give equal features.
        num_features: J, of `summary`.
        sees: Which channels it takes: `all`, or the part of the modality that a stream has.
    """

    backbone: nn.Module
    encoding: str
    num_features: int
    sees: str = "all"
    dropout: nn.Module
    classifier: nn.Module

    def end_with(self, *, num_features: int, num_classes: int, dropout: float) -> None:
        """Make the last layers, dropout and linear; a constructor ends with it, as it draws random numbers.

        Args:
            num_features: J, of `summary`.
            num_classes: K.
            dropout: Share of the features that training drops.
        """
        self.num_features = num_features
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(num_features, num_classes)

    @abstractmethod
    def extract(self, clip: Tensor) -> Tensor:
        """`[B, C, T, H, W]` to `[B, ...]`: the backbone, and the pooling that has no weights."""

    def summary(self, features: Tensor) -> Tensor:
        """What `extract` gave to the input of the last layers, `[B, J]`; here it is that already."""
        return features

    def head(self, features: Tensor) -> Tensor:
        """What `extract` gave to logits `[B, K]`."""
        logits: Tensor = self.classifier(self.dropout(self.summary(features)))
        return logits

    def drop_last_layers(self) -> None:
        """Leave out what follows `summary`, for a model that classifies several summaries together."""
        self.dropout, self.classifier = nn.Identity(), nn.Identity()

    def leaves(self) -> tuple[BackboneModel, ...]:
        """Itself."""
        return (self,)

    def encode(self, clip: Tensor) -> Features:
        """`[B, C, T, H, W]` to what `extract` gives.

        A frozen backbone computes in float32 whatever the precision of training, a few clips at a time, and
        keeps nothing for a backward pass: what is stored of it is what it would give here.
        """
        if not is_frozen(self.backbone):
            return (self.extract(clip),)
        # The meta device, on which shapes are followed, knows no autocast.
        device = "cpu" if clip.is_meta else clip.device.type
        with torch.no_grad(), torch.autocast(device, enabled=False):
            parts = torch.split(clip.float(), max(1, _FROZEN_FRAMES // clip.shape[2]))
            return (torch.cat([self.extract(part) for part in parts]),)

    def classify(self, features: Features) -> Tensor:
        """What `extract` gave to logits `[B, K]`."""
        (own,) = features
        return self.head(own)
