"""The `model` section: a union on `kind`. What each kind computes is in `vidcls.models`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vidcls.spec.base import PositiveInt, Probability, Section, Text


class _Model(Section):
    backbone: Text = "small"
    """`small`, `efficientnet_lite0`, a torchvision classifier, or `timm/NAME`: see `vidcls model list`."""
    weights: Text | None = None
    """Pretrained weights of the backbone: `default`, a name that `vidcls weights ls BACKBONE` shows, or a
    file (.pt, .pth, .safetensors); null starts at random."""
    freeze: tuple[Text, ...] = ()
    """Parts that keep their start, by name, such as `backbone` or `backbone.body.layer1`; `vidcls model
    describe` shows the names."""
    batch_norm: Literal["train", "partial", "frozen"] = "train"
    """`frozen`: the batch norms of the backbone keep the statistics and factors of the weights; `partial`
    (TSN, arXiv:1608.00859): all but the first."""
    dropout: Probability = 0.0
    """Before the last linear layer."""


class CNN3DSection(_Model):
    """A 3D CNN on the stacked frames."""

    kind: Literal["cnn3d"]


class FrameAverageSection(_Model):
    """A 2D CNN a frame; its logits are joined over time."""

    kind: Literal["frame_average"]
    aggregate: Literal["mean", "max"] = "mean"
    """How the logits of the frames become those of the video."""


class EarlyFusionSection(_Model):
    """Frames concatenated along the channels, one 2D CNN."""

    kind: Literal["early_fusion"]


class LateFusionSection(_Model):
    """A shared 2D CNN a frame that keeps a small spatial map; features joined over time, then classified."""

    kind: Literal["late_fusion"]
    join: Literal["mean", "max", "concat", "gru", "attention"] = "concat"
    """How the features of the frames become those of the video."""
    map_size: Annotated[PositiveInt, Field(le=14)] = 4
    """Side of the spatial map kept of each frame; 1 is global pooling, which cannot see motion."""
    hidden: PositiveInt = 256
    """Features a frame."""


class EnsembleSection(Section):
    """Sub-models of any kind on the same clip, trained together; their logits are joined."""

    kind: Literal["ensemble"]
    members: Annotated[tuple[ModelSection, ...], Field(min_length=2)]
    aggregate: Literal["mean", "max"] = "mean"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(isinstance(member, EnsembleSection) for member in self.members):
            raise ValueError("members: an ensemble holds no ensembles; list their members here")
        return self


ModelSection = Annotated[
    CNN3DSection | FrameAverageSection | EarlyFusionSection | LateFusionSection | EnsembleSection,
    Field(discriminator="kind"),
]
EnsembleSection.model_rebuild()
