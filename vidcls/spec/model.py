"""The `model` section: a union on `kind`. The architectures are in `vidcls.models`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, JsonValue, field_validator, model_validator

from vidcls.files import expand_home
from vidcls.spec.base import PositiveInt, Probability, Section, Target, Text, code_target

_WEIGHT_FILES = (".pt", ".pth", ".safetensors")


def is_weights_file(weights: str) -> bool:
    """Whether `model.weights` is the path of a file."""
    return "/" in weights or weights.endswith(_WEIGHT_FILES)


class SingleModelSection(Section):
    """What every model with one backbone has."""

    takes: ClassVar[Literal["2d", "video"]] = "2d"
    """Which family of backbones it is made for."""
    backbone: Text = "small"
    """`small`, `efficientnet_lite0`, a torchvision classifier, or `timm/NAME`: see `vidcls model list`."""
    weights: Text | None = None
    """Pretrained weights of the backbone: `default`, a name that `vidcls weights ls BACKBONE` shows, or a
    file (.pt, .pth, .safetensors); null starts with random weights."""
    freeze: tuple[Text, ...] = ()
    """Names of parts that are not trained, such as `backbone` or `backbone.body.layer1`; `vidcls model show`
    lists the names."""
    batch_norm: Literal["train", "partial", "frozen"] = "train"
    """`frozen`: all batch norms of the backbone keep the statistics and factors of the pretrained weights;
    `partial` (TSN, arXiv:1608.00859): all except the first."""
    dropout: Probability = 0.0
    """Dropout probability before the last linear layer."""

    @field_validator("weights")
    @classmethod
    def _is_usable(cls, weights: str | None) -> str | None:
        if weights is not None and is_weights_file(weights):
            expand_home(weights)  # only checked: the fingerprint uses the path as written
        return weights

    @model_validator(mode="after")
    def _check_norms(self) -> Self:
        if self.batch_norm != "train" and self.weights is None:
            raise ValueError(
                f"batch_norm: {self.batch_norm} keeps the statistics of pretrained weights, but weights is "
                "not set; set weights"
            )
        return self

    @property
    def needs_batch(self) -> bool:
        """Whether the model cannot be trained on one clip at a time."""
        return False

    @property
    def freezes_backbone(self) -> bool:
        """Whether the whole backbone is frozen."""
        return "backbone" in self.freeze

    def singles(self) -> tuple[SingleModelSection, ...]:
        """The section itself."""
        return (self,)

    def with_files(self, resolve: Callable[[str], str]) -> Self:
        """Section with the path of its weights file replaced by `resolve`."""
        if self.weights is None or not is_weights_file(self.weights):
            return self
        return self.model_copy(update={"weights": resolve(self.weights)})


class CNN3DSection(SingleModelSection):
    """A 3D CNN on the stacked frames."""

    takes = "video"
    kind: Literal["cnn3d"]


class FrameAverageSection(SingleModelSection):
    """A 2D CNN for each frame; the logits of the frames are combined."""

    kind: Literal["frame_average"]
    aggregate: Literal["mean", "max"] = "mean"
    """How the logits of the frames are combined into the logits of the video."""


class FrameStatisticsSection(SingleModelSection):
    """A 2D CNN for each frame; the mean and spread of its features over time are classified."""

    kind: Literal["frame_statistics"]

    @property
    def needs_batch(self) -> bool:
        """True, because the statistics of a single clip have no spread."""
        return True


class EarlyFusionSection(SingleModelSection):
    """One 2D CNN on all frames, concatenated along the channels."""

    kind: Literal["early_fusion"]


class LateFusionSection(SingleModelSection):
    """A shared 2D CNN for each frame; its small maps are combined over the frames and classified."""

    kind: Literal["late_fusion"]
    join: Literal["mean", "max", "concat", "gru", "attention"] = "concat"
    """How the features of the frames are combined into the features of the video."""
    map_size: Annotated[PositiveInt, Field(le=14)] = 4
    """Height and width of the spatial map of each frame; 1 is global pooling, which cannot see motion."""
    hidden: PositiveInt = 256
    """Number of features of each frame."""


class CustomSection(Section):
    """A model of your own: any `nn.Module` from clips `[B, C, T, H, W]` to logits `[B, K]`."""

    kind: Literal["custom"]
    target: Target = code_target(...)
    """Its class, or a function that makes it: `module:Name` or `path/to/file.py:Name`."""
    args: dict[str, JsonValue] = Field(default_factory=dict)
    """Its arguments by name. `num_classes`, `in_channels`, `num_frames`, `size` (height and width) and
    `clip_shape` (C, T, H, W) are handed over where it takes them."""
    freeze: tuple[Text, ...] = ()
    """Names of its parts that are not trained, such as `backbone`; `vidcls model show` lists the names."""

    @property
    def freezes_backbone(self) -> bool:
        """Whether the whole backbone is frozen."""
        return "backbone" in self.freeze

    def singles(self) -> tuple[SingleModelSection, ...]:
        """None: its backbone and weights are its own."""
        return ()

    def with_files(self, resolve: Callable[[str], str]) -> Self:  # noqa: ARG002
        """The section itself, which names no file of weights."""
        return self


_OneBackbone = (
    CNN3DSection
    | FrameAverageSection
    | FrameStatisticsSection
    | EarlyFusionSection
    | LateFusionSection
    | CustomSection
)
StreamSection = Annotated[_OneBackbone, Field(discriminator="kind")]


class TwoStreamSection(Section):
    """A model of the frames and one of their motion; needs `clip.modality` rgb+flow or rgb+difference."""

    kind: Literal["two_stream"]
    rgb: StreamSection
    """Model of the RGB frames."""
    motion: StreamSection
    """Model of the flow or the differences."""
    fusion: Literal["logits", "features"] = "features"
    """`logits`: the weighted mean of the logits of both streams. `features`: one linear layer on the features
    of both streams."""
    rgb_share: Probability | None = None
    """Weight of the RGB stream with `fusion: logits`; 0.5 if unset."""
    dropout: Probability = 0.0
    """Dropout probability before the linear layer of `fusion: features`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.fusion == "features" and self.rgb_share is not None:
            raise ValueError("rgb_share: has no effect with fusion: features; set fusion: logits")
        if self.fusion == "logits" and self.dropout:
            raise ValueError("dropout: has no effect with fusion: logits; set the dropout of the streams")
        for name in ("rgb", "motion"):
            stream = getattr(self, name)
            if self.fusion == "features" and isinstance(stream, SingleModelSection) and stream.dropout:
                raise ValueError(
                    f"{name}.dropout: has no effect with fusion: features; set the dropout of the "
                    "two_stream model itself"
                )
        return self

    @property
    def freezes_backbone(self) -> bool:
        """Whether the backbones of both streams are frozen."""
        return self.rgb.freezes_backbone and self.motion.freezes_backbone

    def singles(self) -> tuple[SingleModelSection, ...]:
        """Single-backbone sections of both streams."""
        return (*self.rgb.singles(), *self.motion.singles())

    def with_files(self, resolve: Callable[[str], str]) -> Self:
        """Section with the paths of its weights files replaced by `resolve`."""
        streams = {"rgb": self.rgb.with_files(resolve), "motion": self.motion.with_files(resolve)}
        return self.model_copy(update=streams)


class EnsembleSection(Section):
    """Several models of any kind on the same clip, trained together; their logits are combined."""

    kind: Literal["ensemble"]
    members: Annotated[tuple[ModelSection, ...], Field(min_length=2)]
    """Two or more models, each with the keys of its kind."""
    aggregate: Literal["mean", "max"] = "mean"
    """How the logits of the members are combined."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(isinstance(member, EnsembleSection) for member in self.members):
            raise ValueError("members: an ensemble cannot contain ensembles; list their members here")
        return self

    @property
    def freezes_backbone(self) -> bool:
        """Whether the backbones of all members are frozen."""
        return all(member.freezes_backbone for member in self.members)

    def singles(self) -> tuple[SingleModelSection, ...]:
        """Single-backbone sections of all members."""
        return tuple(single for member in self.members for single in member.singles())

    def with_files(self, resolve: Callable[[str], str]) -> Self:
        """Section with the paths of its weights files replaced by `resolve`."""
        return self.model_copy(update={"members": tuple(m.with_files(resolve) for m in self.members)})


ModelSection = Annotated[_OneBackbone | TwoStreamSection | EnsembleSection, Field(discriminator="kind")]
EnsembleSection.model_rebuild()


def _by_kind(union: Any) -> dict[str, Any]:
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["kind"].annotation)[0]: member for member in members}


MODEL_KINDS: dict[str, type[Section]] = _by_kind(ModelSection)
"""The section of each kind of model."""
SHIPPED_KINDS = tuple(kind for kind in MODEL_KINDS if kind != "custom")
"""Kinds of models whose code is part of the package."""
STREAM_KINDS: dict[str, type[Section]] = _by_kind(StreamSection)
"""The section of each kind of model with one backbone."""
