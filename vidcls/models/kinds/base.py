"""Base classes of all models: they compute features of their backbones, then logits.

A frozen backbone gives the same features for a clip every time. So its features are computed once and stored,
and only `classify` is trained.

Axes: B clips, C channels, T frames, H W pixels, F features, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from vidcls.models.device import full_float32
from vidcls.models.dropout import Dropout
from vidcls.models.freezing import is_frozen

Features = Sequence[Tensor]
"""Features of B clips from the backbones of a model: one tensor `[B, ...]` for each backbone."""


_FROZEN_FRAMES = 128
"""Maximum number of frames per call of a frozen backbone: more would only cost memory, and time on a CPU."""


class VideoModel(nn.Module, ABC):
    """Model from clips `[B, C, T, H, W]` to logits `[B, K]`."""

    @property
    @abstractmethod
    def sees_order(self) -> bool:
        """Whether the logits depend on the order of the frames."""

    @property
    def named_root(self) -> nn.Module:
        """Module in which a spec's names of parts are looked up."""
        return self

    @abstractmethod
    def leaves(self) -> tuple[BackboneModel, ...]:
        """Single-backbone models in this model, each backbone once, in the order of `encode`."""

    @abstractmethod
    def encode(self, clip: Tensor) -> Features:
        """Compute the features of each leaf from `[B, C, T, H, W]`."""

    def reduce(self, features: Features) -> Features:
        """Reduce the features of each leaf without weights; here the identity.

        Of stored features it is computed once, not in each step.
        """
        return features

    @abstractmethod
    def classify(self, features: Features) -> Tensor:
        """Compute logits `[B, K]` from the reduced features of each leaf."""

    def forward(self, clip: Tensor) -> Tensor:
        """Compute `[B, K]` from `[B, C, T, H, W]`."""
        return self.classify(self.reduce(self.encode(clip)))

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for fully frozen modules; or set evaluation mode for all modules.

        A model inside this one sets its own modules: if all its parameters are frozen, what it does without
        parameters, such as standardising features, is trained nevertheless.
        """
        self.training = mode
        for child in self.children():
            if isinstance(child, VideoModel):
                child.train(mode)
            elif not mode or is_frozen(child):
                if child.training:  # once: a frozen backbone has hundreds of modules
                    child.eval()
            else:
                child.train()
                _hold_still(child)
        return self


def _hold_still(module: nn.Module) -> None:
    """Put the fully frozen modules in a module into evaluation mode; models in it have done so themselves."""
    for child in module.children():
        if isinstance(child, VideoModel):
            continue
        if is_frozen(child):
            child.eval()
        else:
            _hold_still(child)


class BackboneModel(VideoModel):
    """Model with one backbone; it is its own leaf.

    A subclass creates its layers in the constructor, the last ones with `end_with`, and defines `extract`. If
    `extract` gives more than one vector per clip, the subclass also defines `summary`; what that does without
    weights may be moved to `reduce_own`. If its last layers are not dropout and a linear layer, it defines
    `head` and `drop_last_layers`.

    Attributes:
        backbone: Part into which weights may be loaded; everything else is the head.
        encoding: Text about the part of the backbone's output that `extract` keeps: equal texts and equal
            backbones give equal features.
        num_features: Number of features J of `summary`.
        sees: Input channels: `all`, or the part of the modality for a stream.
        is_divided: Whether it has a head above the backbone.
    """

    backbone: nn.Module
    encoding: str
    num_features: int
    sees: str = "all"
    is_divided: bool = True
    dropout: nn.Module
    classifier: nn.Module

    def end_with(self, *, num_features: int, num_classes: int, dropout: float) -> None:
        """Make the last layers, dropout and linear; call this last in a constructor: it draws random numbers.

        Args:
            num_features: Number of features J of `summary`.
            num_classes: Number of classes K.
            dropout: Share of the features that training drops.
        """
        self.num_features = num_features
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(num_features, num_classes)

    @abstractmethod
    def extract(self, clip: Tensor) -> Tensor:
        """Compute `[B, ...]` from `[B, C, T, H, W]`: the backbone, and pooling without weights."""

    def reduce_own(self, features: Tensor) -> Tensor:
        """Reduce the result of `extract` without weights, clip by clip; here the identity."""
        return features

    def summary(self, features: Tensor) -> Tensor:
        """Input of the last layers `[B, J]` from the result of `reduce_own`; here the identity."""
        return features

    def head(self, features: Tensor) -> Tensor:
        """Compute logits `[B, K]` from the result of `reduce_own`."""
        logits: Tensor = self.classifier(self.dropout(self.summary(features)))
        return logits

    def drop_last_layers(self) -> None:
        """Remove the layers after `summary`, for a model that classifies several summaries together."""
        self.dropout, self.classifier = nn.Identity(), nn.Identity()

    def leaves(self) -> tuple[BackboneModel, ...]:
        """This model itself."""
        return (self,)

    def encode(self, clip: Tensor) -> Features:
        """Compute the result of `extract` from `[B, C, T, H, W]`.

        A frozen backbone computes in float32, whatever the precision of training, a few clips at a time, and
        without a backward pass. So its stored features are equal to those computed here.
        """
        if not is_frozen(self.backbone):
            return (self.extract(clip),)
        # The meta device, which is used to determine shapes, has no autocast.
        device = "cpu" if clip.is_meta else clip.device.type
        with torch.no_grad(), torch.autocast(device, enabled=False), full_float32():
            parts = torch.split(clip.float(), max(1, _FROZEN_FRAMES // clip.shape[2]))
            return (torch.cat([self.extract(part) for part in parts]),)

    def reduce(self, features: Features) -> Features:
        """Apply `reduce_own`."""
        (own,) = features
        return (self.reduce_own(own),)

    def classify(self, features: Features) -> Tensor:
        """Compute logits `[B, K]` from the result of `reduce_own`."""
        (own,) = features
        return self.head(own)
