"""The first convolution for other inputs than the RGB image that weights were trained on.

Two rules, told apart by the channels that a frame has:

- Triples of channels are colours, of frames or of differences of frames: each keeps the RGB kernel, divided
  by their number. So a clip of equal frames gives early fusion what the image gives the 2D network.
- Other channels, such as u and v of optical flow, get the mean of the RGB kernel each (cross-modality
  initialisation of TSN, Wang et al. 2016, arXiv:1608.00859), scaled so that an input that is equal in all
  channels gives what a grey one gives the 2D network.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

_RGB = 3


class NoFirstLayerError(Exception):
    """A network whose first layer cannot be made to take other channels."""


def first_conv(body: nn.Module) -> tuple[str, nn.Conv2d | nn.Conv3d]:
    """The convolution that sees the input, and its name.

    Raises:
        NoFirstLayerError: If there is none.
    """
    for name, part in body.named_modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            return name, part
    raise NoFirstLayerError("it has no convolution")


def set_in_channels(body: nn.Module, in_channels: int) -> None:
    """Make a network for RGB take another number of channels, its first layer freshly initialised.

    What else there is to that layer (stride, dilation, padding, a class of its own) stays.

    Raises:
        NoFirstLayerError: If the first layer takes something else than the three channels.
    """
    if in_channels == _RGB:
        return
    name, conv = first_conv(body)
    if conv.in_channels != _RGB or conv.groups != 1:
        raise NoFirstLayerError(f"its first layer takes {conv.in_channels} channels made from RGB")
    wider = copy.deepcopy(conv)
    wider.in_channels = in_channels
    shape = (conv.out_channels, in_channels, *conv.kernel_size)
    wider.weight = nn.Parameter(torch.empty(shape, dtype=conv.weight.dtype, device=conv.weight.device))
    nn.init.kaiming_normal_(wider.weight, mode="fan_out", nonlinearity="relu")
    body.set_submodule(name, wider)


def adapt_first_layer(weight: Tensor, *, in_channels: int, channels_per_frame: int) -> Tensor:
    """The kernel of a first convolution for other channels than it was trained on.

    Args:
        weight: `[F, C, ...]`, with C = 3 unless it was adapted before.
        in_channels: Channels that it is to take, frame by frame.
        channels_per_frame: Channels of each frame among these; triples are taken for colours.

    Returns:
        `[F, in_channels, ...]`; the weight itself if it takes as many.
    """
    known = weight.shape[1]
    if known == in_channels:
        return weight
    if known == _RGB and channels_per_frame % _RGB == 0:
        num_triples = in_channels // _RGB
        return torch.cat([weight / num_triples] * num_triples, dim=1)
    mean = weight.mean(dim=1, keepdim=True) * (known / in_channels)
    return torch.cat([mean] * in_channels, dim=1)
