"""Sections of a spec other than `model`. A check across fields is in the section that owns both fields."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, model_validator
from pydantic import Tag as UnionTag

from vidcls.choices import Auto, FlowMethod, Modality, Precision
from vidcls.spec.base import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    Section,
    Text,
    not_identity,
)
from vidcls.spec.wandb_names import Entity, Project, Tag

Side = Annotated[PositiveInt, Field(ge=8)]


def _pair(value: Any) -> Any:
    """Accept a square as its side, `112`, or as `112x112`; two different sides need an explicit order."""
    if isinstance(value, str) and (
        match := re.fullmatch(r"\s*([0-9]{1,9})\s*[xX×]\s*([0-9]{1,9})\s*", value)
    ):
        if int(match[1]) != int(match[2]):
            raise ValueError(
                f"{value} can mean height x width or width x height; write [HEIGHT, WIDTH], such as"
                f" [{match[1]}, {match[2]}]"
            )
        value = int(match[1])
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    return tuple(value) if isinstance(value, list) else value


Size = Annotated[
    tuple[Side, Side], BeforeValidator(_pair, json_schema_input_type=Side | str | tuple[Side, Side])
]
# Number of channels, mean and standard deviation of each part.
_PARTS: dict[str, tuple[int, float, float]] = {
    "rgb": (3, 0.45, 0.225),
    "flow": (2, 0.0, 0.5),  # values of UCF101 at 112 px
    "difference": (3, 0.0, 0.05),
}


class ClipSection(Section):
    """How a video becomes the input of the model: number of frames, their size and more."""

    modality: Modality = "rgb"
    """`rgb`: frames as they are. `flow`: the optical flow (u, v) from a sampled frame to the next one of the
    video. `difference`: the next frame minus the sampled one. `rgb+flow` and `rgb+difference`: the frame and
    its motion, channel after channel, for `model.kind: two_stream` or any other."""
    flow: FlowMethod | None = None
    """How OpenCV computes the flow of videos; `dis` if unset."""
    frames: PositiveInt = 10
    """Number of sampled frames, flow fields or differences in each clip (T). A shorter video repeats some."""
    size: Size | None = None
    """Height and width in pixels, `[H, W]`, or one number for a square; if unset, the size that
    `model.weights` were trained with, or [112, 112] without weights."""
    fit: Literal["squeeze", "crop"] = "squeeze"
    """`squeeze` ignores the aspect ratio; `crop` keeps it, resizes to 8/7 of the size and crops."""
    sampling: Literal["uniform", "segment"] = "uniform"
    """How T of the n frames of a video are chosen. `uniform`: floor(linspace(0, n-1, T)), or floor(k n / T)
    if n < T. `segment` (TSN): from each of T equal segments, a random frame in training and the middle frame
    in evaluation."""
    unit: Literal["clip", "frame"] = "clip"
    """`frame`: training takes every sampled frame as a separate sample; evaluation combines the frames."""
    mean: tuple[float, ...] | None = None
    """Subtracted from each channel. RGB and differences are on the scale 0 to 1, u and v in pixels of the
    clip; if unset, 0.45 for RGB, otherwise 0. With `model.weights`, RGB is normalised as for them."""
    std: tuple[PositiveFloat, ...] | None = None
    """Then divides each channel; if unset, 0.225 for RGB, 0.05 for differences, 0.5 px for flow."""

    @property
    def num_channels(self) -> int:
        """Number of channels of each pixel (C): red, green and blue, their differences, or u and v."""
        return sum(_PARTS[part][0] for part in self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the channels in their order: `rgb`, `flow`, `difference`."""
        return tuple(self.modality.split("+"))

    @property
    def has_motion(self) -> bool:
        """Whether a moment also needs the next frame."""
        return self.modality != "rgb"

    @property
    def flow_method(self) -> FlowMethod | None:
        """Method that computes the flow of videos; None for other modalities."""
        return (self.flow or "dis") if "flow" in self.parts else None

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, as set or the defaults of the modality."""
        each = [_PARTS[part] for part in self.parts]
        mean = tuple(mean for num, mean, _ in each for _ in range(num))
        std = tuple(std for num, _, std in each for _ in range(num))
        return self.mean or mean, self.std or std

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.flow is not None and "flow" not in self.parts:
            raise ValueError(f"flow: has no effect with modality: {self.modality}; set modality: flow")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.num_channels:
                raise ValueError(
                    f"{name}: expected {self.num_channels} numbers, one for each channel of modality: "
                    f"{self.modality}, got {len(values)}"
                )
        if self.unit == "frame" and self.sampling != "uniform":
            raise ValueError("sampling: has no effect with unit: frame, which trains on all frames")
        return self


class Clip(ClipSection):
    """A clip section as a model takes it: what was left to the weights is known."""

    size: Size = (112, 112)

    def part(self, name: str) -> Clip:
        """Clip section for a single part of the modality."""
        start = sum(_PARTS[part][0] for part in self.parts[: self.parts.index(name)])
        own = slice(start, start + _PARTS[name][0])
        mean, std = (values[own] for values in self.normalisation)
        return self.model_copy(update={"modality": name, "mean": mean, "std": std})


class AugmentSection(Section):
    """Random changes of clips in training, drawn for each clip. Evaluation never augments."""

    flip: Probability = 0.0
    """Probability of a left-right mirror."""
    crop: Literal["none", "random", "random_resized"] = "none"
    """`random`: a window of the clip's size anywhere (needs fit: crop); `random_resized`: a window of random
    area and aspect, resized to the clip's size."""
    scale: tuple[Probability, Probability] | None = None
    """Area of a random-resized crop as a share of the frame, `[low, high]`; [0.5, 1] if unset."""
    ratio: tuple[PositiveFloat, PositiveFloat] | None = None
    """Aspect ratio of a random-resized crop relative to that of `clip.size`; [0.75, 1.333] if unset."""
    mixup: NonNegativeFloat = 0.0
    """Blend each clip, and its label, with another one of its batch (arXiv:1710.09412), in a share drawn from
    the distribution Beta(mixup, mixup) for each batch; 0 for never, 0.2 to 0.8 are usual."""
    num_views: PositiveInt | None = None
    """Number of fixed views of each video, the same for every seed; null draws new views in each epoch. With
    fixed views, the features of a frozen backbone are computed once for each view and stored."""

    @property
    def is_active(self) -> bool:
        """Whether any augmentation is enabled."""
        return self.flip > 0 or self.crop != "none" or self.mixup > 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.mixup and self.num_views:
            raise ValueError(
                "num_views: fixed views are for stored features, but mixup mixes clips anew in each step;"
                " leave one of the two out"
            )
        for name, pair in (("scale", self.scale), ("ratio", self.ratio)):
            if pair is None:
                continue
            if self.crop != "random_resized":
                raise ValueError(f"{name}: has no effect with crop: {self.crop}; set crop: random_resized")
            if pair[0] <= 0 or pair[0] > pair[1]:
                raise ValueError(f"{name}: expected [low, high] with 0 < low <= high, got {list(pair)}")
        return self


class _Optim(Section):
    lr: PositiveFloat
    """Peak learning rate."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate from each stage of a backbone to the stage below it; the head has `lr`
    (arXiv:1801.06146)."""
    weight_decay: NonNegativeFloat
    """Weight decay. Applied to weights of two or more dimensions, not to norms and biases."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate changes after the warm-up."""
    warmup_epochs: NonNegativeFloat = 1.0
    """Number of epochs in which the learning rate rises linearly from zero."""
    clip_norm: PositiveFloat | None = 1.0
    """Maximum norm of the gradient over all parameters (gradient clipping); null for no maximum."""


class AdamWSection(_Optim):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.05
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """Decay rates of the running averages of the gradient and its square."""


class SGDSection(_Optim):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"]
    lr: PositiveFloat = 0.05
    weight_decay: NonNegativeFloat = 1e-4
    momentum: Probability = 0.9
    """Share of the previous step that is kept in each step."""
    nesterov: bool = True
    """Whether to use Nesterov momentum."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: has no effect without momentum; set nesterov: false")
        return self


def _optim_kind(value: Any) -> Any:
    return value.get("kind", "adamw") if isinstance(value, dict) else getattr(value, "kind", None)


OptimSection = Annotated[
    Annotated[AdamWSection, UnionTag("adamw")] | Annotated[SGDSection, UnionTag("sgd")],
    # A function, so that `optim: {lr: 1e-4}` alone means AdamW.
    Discriminator(_optim_kind),
]


class TrainSection(Section):
    """Length and details of the training."""

    epochs: PositiveInt = 30
    """Number of epochs over which the learning rate runs its course."""
    stop_after: PositiveInt | None = None
    """End after this number of epochs, at the learning rates of `epochs`; `vidcls train --final` sets it."""
    batch_size: PositiveInt = 16
    """Number of clips in each step; if the last batch has only one clip, it joins the batch before."""
    precision: Auto | Precision = "auto"
    """`auto`: bf16 if the device computes it natively, otherwise fp16 on CUDA and fp32 on the CPU."""
    tf32: bool = False
    """Let CUDA round the factors of float32 products to TF32 while training; stored results never are."""
    compile: Literal[False, True, "cuda_graphs"] = False
    """Compile the model with torch.compile; cuda_graphs also replays its kernels as CUDA graphs."""
    channels_last: bool = True
    """Whether tensors use the channels-last memory layout."""
    label_smoothing: Probability = 0.0
    """Share of the target probability that is spread evenly over all classes (arXiv:1512.00567)."""
    unfreeze_every: PositiveInt | None = None
    """Gradual unfreezing (arXiv:1801.06146): at first only the head is trained; each time after this number
    of epochs, the next lower stage of the backbone is trained too. Needs `model.weights`."""
    deterministic: bool = False
    """Refuse operations that are not reproducible bit for bit on CUDA; the CPU is always reproducible."""
    threads: Auto | PositiveInt = "auto"
    """Number of CPU threads; `auto`, kept on resume, is all usable cores, or those that other processes leave
    free if they do not leave all and a short measurement at the start finds fewer threads faster."""
    checkpoint_every_s: PositiveFloat = not_identity(300.0)
    """Seconds after which a checkpoint is also written within an epoch."""
    keep_last: bool = not_identity(False)
    """Keep `last.pt` after the run has finished, and score it too."""

    @property
    def num_epochs(self) -> int:
        """Number of epochs that are trained."""
        return self.stop_after or self.epochs

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.stop_after is not None and self.stop_after > self.epochs:
            raise ValueError(f"stop_after: {self.stop_after} is more than epochs: {self.epochs}; lower it")
        return self


class TrackingSection(Section):
    """Weights & Biases. Its errors never stop a training; `metrics.jsonl` is always written."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`auto`: online if there are credentials, otherwise offline; it never asks."""
    project: Project = "vidcls"
    """Project on W&B."""
    entity: Entity | None = None
    """User or team on W&B; if unset, the default of the account."""
    group: Text | None = None
    """Group name in W&B, which shows the runs of a group together; the name of the spec if unset."""
    tags: tuple[Tag, ...] = ()
    """Tags of the run on W&B."""
    notes: Text | None = None
    """Notes about the run on W&B."""
    previews: NonNegativeInt = 8
    """Number of validation clips shown with their predictions."""
    artifact: bool = True
    """Upload the best checkpoint as an artifact (never in a sweep)."""
