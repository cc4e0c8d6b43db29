"""2D and 3D networks by name: `small`, and the classifiers of torchvision, timm and others without head.

A 2D backbone returns its feature map, so that the model chooses the pooling; a 3D backbone returns a vector.
The classifiers are used up to their pooling. A 2D network requested as a 3D one is inflated.

Axes: N images or frames, B clips, C channels in, F features, T frames, H W pixels, h w cells of a map.
"""

from __future__ import annotations

from torch import Tensor, nn

from vidcls.choices import LITE, SMALL
from vidcls.errors import UserError
from vidcls.models.backbones.bf16_conv3d_fix import pad_short_clips
from vidcls.models.backbones.first_layer import NoFirstLayerError, set_in_channels
from vidcls.models.backbones.lite import lite_2d
from vidcls.models.backbones.names import is_2d, is_3d, wrong_name
from vidcls.models.backbones.shapes import TooSmallError, output_shape
from vidcls.models.backbones.small import Small2D, Small3D
from vidcls.models.backbones.timm2d import PREFIX, is_map, no_map, timm_2d
from vidcls.models.backbones.torchvision2d import torchvision_2d, torchvision_names_2d
from vidcls.models.backbones.video3d import FIXED_CLIPS, torchvision_3d


class Backbone(nn.Module):
    """Network without its head.

    Attributes:
        body: The network; its modules have the names of its library.
        in_channels: Number of input channels C.
        channels_per_frame: Number of channels per frame among these.
        num_features: Number of features F.
    """

    def __init__(
        self, body: nn.Module, *, in_channels: int, channels_per_frame: int, num_features: int
    ) -> None:
        super().__init__()
        self.body = body
        self.in_channels = in_channels
        self.channels_per_frame = channels_per_frame
        self.num_features = num_features


class Backbone2D(Backbone):
    """Backbone from images `[N, C, H, W]` to a feature map `[N, F, h, w]`."""

    def forward(self, images: Tensor) -> Tensor:
        """Compute `[N, F, h, w]` from `[N, C, H, W]`."""
        features: Tensor = self.body(images)
        return features


class Backbone3D(Backbone):
    """Backbone from clips `[B, C, T, H, W]` to features `[B, F]`."""

    def forward(self, clip: Tensor) -> Tensor:
        """Compute `[B, F]` from `[B, C, T, H, W]`."""
        features: Tensor = self.body(clip)
        return features


class InflatedBackbone(Backbone):
    """Inflated backbone from clips `[B, C, T, H, W]` to features `[B, F]`: the mean over the whole map."""

    def forward(self, clip: Tensor) -> Tensor:
        """Compute `[B, F]` from `[B, C, T, H, W]`."""
        maps: Tensor = self.body(clip)
        return maps.mean(dim=(2, 3, 4))


def backbone_2d(name: str, *, in_channels: int, size: tuple[int, int], num_frames: int = 1) -> Backbone2D:
    """Make a 2D backbone with random initialisation.

    Args:
        name: Name of the network.
        in_channels: Number of channels of a frame.
        size: H and W, used to determine the shape of the map.
        num_frames: Number of frames stacked along the channels: C is `num_frames` times `in_channels`.

    Raises:
        UserError: If the name is unknown or of another family, or the network cannot take such images.
    """
    num_channels = in_channels * num_frames
    body = _body_2d(name, num_channels)
    try:
        shape = output_shape(body, (1, num_channels, *size))
    except TooSmallError as error:
        raise UserError(
            f"model.backbone: {name} cannot take images of {size[0]}x{size[1]} pixels: {error}",
            hint="set a larger clip.size, or a backbone that reduces its input less, such as small",
        ) from None
    if name.startswith(PREFIX) and not is_map(body, shape):
        raise no_map(name)
    return Backbone2D(body, in_channels=num_channels, channels_per_frame=in_channels, num_features=shape[1])


def backbone_3d(name: str, *, in_channels: int, clip_shape: tuple[int, int, int]) -> Backbone:
    """Make a 3D backbone with random initialisation.

    Args:
        name: Name of a 3D network, or of a 2D network, which is inflated.
        in_channels: Number of input channels C.
        clip_shape: T, H and W.

    Raises:
        UserError: If the name is unknown or has no 3D form, or the network cannot take such clips.
    """
    frames, height, width = clip_shape
    if not is_3d(name):
        return _inflated(name, in_channels=in_channels, size=(height, width))
    if clip_shape != FIXED_CLIPS.get(name, clip_shape):
        fixed = FIXED_CLIPS[name]
        raise UserError(
            f"model.backbone: {name} cannot take {frames} frames of {height}x{width} pixels",
            hint=f"it only takes clip.frames={fixed[0]} clip.size=[{fixed[1]},{fixed[2]}]",
        )
    body = Small3D(in_channels) if name == SMALL else torchvision_3d(name)
    try:
        if name != SMALL:
            set_in_channels(body, in_channels)
        pad_short_clips(body, (1, in_channels, *clip_shape))
        num_features = output_shape(body, (1, in_channels, *clip_shape))[1]
    except TooSmallError as error:
        raise UserError(
            f"model.backbone: {name} cannot take {frames} frames of {height}x{width} pixels: {error}",
            hint="raise clip.frames or clip.size",
        ) from None
    return Backbone3D(
        body, in_channels=in_channels, channels_per_frame=in_channels, num_features=num_features
    )


def _inflated(name: str, *, in_channels: int, size: tuple[int, int]) -> InflatedBackbone:
    from vidcls.models.backbones.inflate import NotInflatableError, inflate

    if not is_2d(name):
        raise wrong_name(name, dims=3)
    flat = backbone_2d(name, in_channels=in_channels, size=size)
    try:
        body = inflate(flat.body, image_shape=(in_channels, *size))
    except NotInflatableError as error:
        raise UserError(
            f"model.backbone: {name} cannot be inflated to 3D: {error}",
            hint="ResNets, VGGs, DenseNets, MobileNets and EfficientNets can be inflated; vidcls model "
            "list shows 3D backbones",
        ) from None
    return InflatedBackbone(
        body, in_channels=in_channels, channels_per_frame=in_channels, num_features=flat.num_features
    )


def _body_2d(name: str, in_channels: int) -> nn.Module:
    if name == SMALL:
        return Small2D(in_channels)
    if name == LITE:
        body = lite_2d()
    elif name.startswith(PREFIX):
        body = timm_2d(name)
    elif name in torchvision_names_2d():
        body = torchvision_2d(name)
    else:
        raise wrong_name(name, dims=2)
    try:
        set_in_channels(body, in_channels)
    except NoFirstLayerError as error:
        raise UserError(
            f"model.backbone: {name} cannot take {in_channels} channels: {error}",
            hint="set a backbone whose first layer is a convolution over RGB, such as resnet18",
        ) from None
    return body
