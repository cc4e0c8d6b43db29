"""2D and 3D networks by name: `small`, and the classifiers of torchvision without their heads.

A 2D backbone keeps its map, so that whoever uses it chooses what to pool; a 3D backbone gives a vector.
The classifiers are taken up to their pooling: hidden layers of a head (VGG's, MobileNetV3's) go with it.

Axes: N images or frames, B clips, C channels in, F features, T frames, H W pixels, h w cells of a map.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import takewhile

import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models import DenseNet
from torchvision.models.video import S3D, MViT, VideoResNet

from vidcls.errors import UserError
from vidcls.models.shapes import TooSmallError, output_shape
from vidcls.models.short_time import pad_short_clips

_CHANNELS = (32, 64, 128)
_HEADS = {"avgpool", "dropout", "flatten", "classifier", "fc", "head"}
# They read one input size, and keep no map that could be pooled.
_NO_MAP = ("vit_", "maxvit_")
# T, H, W of the clips that these take; their learned places are made for no other.
FIXED_CLIPS = {"mvit_v1_b": (16, 224, 224), "mvit_v2_s": (16, 224, 224)}


class Backbone2D(nn.Module):
    """Images `[N, C, H, W]` to a map of features `[N, F, h, w]`.

    Args:
        body: Computes the map.
        in_channels: C.
        size: H and W, for which the shape of the map is found out.

    Attributes:
        num_features: F.

    Raises:
        TooSmallError: If the body cannot take images of that size.
    """

    def __init__(self, body: nn.Module, *, in_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.body = body
        self.num_features = output_shape(body, (1, in_channels, *size))[1]

    def forward(self, images: Tensor) -> Tensor:
        """`[N, C, H, W]` to `[N, F, h, w]`."""
        features: Tensor = self.body(images)
        return features


class Backbone3D(nn.Module):
    """Clips `[B, C, T, H, W]` to features `[B, F]`.

    Args:
        body: Computes them.
        in_channels: C.
        clip_shape: T, H, W, for which F is found out.

    Attributes:
        num_features: F.

    Raises:
        TooSmallError: If the body cannot take clips of that shape.
    """

    def __init__(self, body: nn.Module, *, in_channels: int, clip_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.body = body
        self.num_features = output_shape(body, (1, in_channels, *clip_shape))[1]

    def forward(self, clip: Tensor) -> Tensor:
        """`[B, C, T, H, W]` to `[B, F]`."""
        features: Tensor = self.body(clip)
        return features


class Small3D(nn.Sequential):
    """Clips `[B, C, T, H, W]` to features `[B, 128]`: three convolutions, then the mean over all places.

    Space halves in every block by pooling, time in the second and third by stride.
    """

    def __init__(self, in_channels: int) -> None:
        strides = ((1, 1, 1), (2, 1, 1), (2, 1, 1))
        channels = (in_channels, *_CHANNELS)
        super().__init__(
            *(
                nn.Sequential(
                    nn.Conv3d(channels[i], channels[i + 1], 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm3d(channels[i + 1]),
                    FramePool(),  # before the ReLU: the same result, a quarter of the work
                    nn.ReLU(),
                )
                for i, stride in enumerate(strides)
            ),
            SpaceTimeMean(),
        )


class FramePool(nn.Module):
    """2 x 2 max pooling of each frame.

    As pooling of images: unlike that of 3D pooling, its gradient on CUDA repeats bit for bit.
    """

    def forward(self, clip: Tensor) -> Tensor:
        """`[B, C, T, H, W]` to `[B, C, T, H/2, W/2]`."""
        return unfold_time(F.max_pool2d(fold_time(clip), 2), num_clips=len(clip)).transpose(1, 2)


class SpaceTimeMean(nn.Module):
    """The mean over time and space."""

    def forward(self, features: Tensor) -> Tensor:
        """`[B, F, T, H, W]` to `[B, F]`."""
        return features.mean(dim=(2, 3, 4))


def fold_time(clip: Tensor) -> Tensor:
    """`[B, C, T, H, W]` to its frames as images `[B * T, C, H, W]`, clip by clip."""
    return clip.transpose(1, 2).flatten(0, 1)


def unfold_time(images: Tensor, *, num_clips: int) -> Tensor:
    """What was computed of each frame, `[B * T, ...]`, by clip: `[B, T, ...]`."""
    return images.reshape(num_clips, -1, *images.shape[1:])


def names_2d() -> list[str]:
    """The names that `backbone_2d` takes."""
    listed = torchvision.models.list_models(module=torchvision.models)
    return ["small", *(name for name in listed if not name.startswith(_NO_MAP))]


def names_3d() -> list[str]:
    """The names that `backbone_3d` takes."""
    return ["small", *torchvision.models.list_models(module=torchvision.models.video)]


def backbone_2d(name: str, *, in_channels: int, size: tuple[int, int]) -> Backbone2D:
    """A 2D backbone, freshly initialised.

    Raises:
        UserError: If the name is unknown or of another family, or `size` (H, W) is too small for it.
    """
    if name not in names_2d():
        raise _wrong_name(name, dims=2, allowed=names_2d())
    body = _small_2d(in_channels) if name == "small" else _torchvision_2d(name, in_channels=in_channels)
    try:
        return Backbone2D(body, in_channels=in_channels, size=size)
    except TooSmallError as error:
        raise UserError(
            f"model.backbone: {name} cannot take images of {size[0]}x{size[1]} pixels: {error}",
            hint="raise clip.size, or name a backbone that shrinks its input less, such as small",
        ) from None


def backbone_3d(name: str, *, in_channels: int, clip_shape: tuple[int, int, int]) -> Backbone3D:
    """A 3D backbone, freshly initialised.

    Raises:
        UserError: If the name is unknown or of another family, or `clip_shape` (T, H, W) does not suit it.
    """
    if name not in names_3d():
        raise _wrong_name(name, dims=3, allowed=names_3d())
    frames, height, width = clip_shape
    if clip_shape != FIXED_CLIPS.get(name, clip_shape):
        fixed = FIXED_CLIPS[name]
        raise UserError(
            f"model.backbone: {name} cannot take {frames} frames of {height}x{width} pixels",
            hint=f"it takes clip.frames={fixed[0]} clip.size=[{fixed[1]},{fixed[2]}] only",
        )
    body = Small3D(in_channels) if name == "small" else _torchvision_3d(name, in_channels=in_channels)
    try:
        pad_short_clips(body, (1, in_channels, *clip_shape))
        return Backbone3D(body, in_channels=in_channels, clip_shape=clip_shape)
    except TooSmallError as error:
        raise UserError(
            f"model.backbone: {name} cannot take {frames} frames of {height}x{width} pixels: {error}",
            hint="raise clip.frames or clip.size",
        ) from None


def _small_2d(in_channels: int) -> nn.Module:
    channels = (in_channels, *_CHANNELS)
    return nn.Sequential(
        *(
            nn.Sequential(
                nn.Conv2d(channels[i], channels[i + 1], 3, padding=1, bias=False),
                nn.BatchNorm2d(channels[i + 1]),
                nn.MaxPool2d(2),  # before the ReLU: the same result, a quarter of the work
                nn.ReLU(),
            )
            for i in range(len(_CHANNELS))
        )
    )


def _torchvision_2d(name: str, *, in_channels: int) -> nn.Module:
    # Their training returns extra logits of inner layers unless told not to.
    inner = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **inner)
    body = nn.Sequential()
    for child_name, child in takewhile(lambda child: child[0] not in _HEADS, model.named_children()):
        body.add_module(child_name, child)
    if isinstance(model, DenseNet):
        body.add_module("relu", nn.ReLU())  # a function between the parts there
    _set_in_channels(body, in_channels)
    return body


def _torchvision_3d(name: str, *, in_channels: int) -> nn.Module:
    model: nn.Module = torchvision.models.get_model(name, weights=None)
    match model:
        case VideoResNet():
            model.fc = nn.Identity()
        case S3D():
            # Its own pooling needs 224 pixels; the mean of the whole map is the same there.
            model.avgpool = nn.Identity()
            model.classifier = nn.Identity()
        case MViT():
            model.head = nn.Identity()
        case _:
            # Swin3D: its average pooling adapts to the map.
            model.head = nn.Identity()
    _set_in_channels(model, in_channels)
    return model


def _set_in_channels(model: nn.Module, in_channels: int) -> None:
    """Replace the first convolution by one for `in_channels`, if it takes another number."""
    modules = model.named_modules()
    path, old = next((path, part) for path, part in modules if isinstance(part, nn.Conv2d | nn.Conv3d))
    if old.in_channels == in_channels:
        return
    new = type(old)(
        in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    model.set_submodule(path, new)


def _wrong_name(name: str, *, dims: int, allowed: list[str]) -> UserError:
    known = {2: names_2d(), 3: names_3d()}
    hint = "vidcls model list shows the backbones"
    if name in known[5 - dims]:
        is_2d = dims == 3
        family, kinds = (
            ("a 2D", "frame_average, early_fusion, late_fusion") if is_2d else ("a video", "cnn3d")
        )
        return UserError(f"model.backbone: {name} is {family} backbone, for model.kind: {kinds}", hint=hint)
    if name.startswith(_NO_MAP) and name in torchvision.models.list_models():
        return UserError(
            f"model.backbone: {name} takes one input size and keeps no spatial map; not supported", hint=hint
        )
    near = get_close_matches(name, allowed, n=3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return UserError(f"model.backbone: no backbone is called {name}{meant}", hint=hint)
