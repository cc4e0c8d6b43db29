"""Adapts the first convolution to inputs other than the RGB image of the pretrained weights.

There are two rules, selected by the number of channels of a frame:

- Triples of channels are colours, of frames or of differences of frames: each keeps the RGB kernel, divided
  by the number of triples. So a clip of equal frames gives the same output as the image in the 2D network.
- Each other channel, such as u and v of optical flow, gets the mean of the RGB kernel (cross-modality
  initialisation of TSN, Wang et al. 2016, arXiv:1608.00859), scaled so that an input with equal channels
  gives the same output as a grey image in the 2D network.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

_RGB = 3


class NoFirstLayerError(Exception):
    """The first layer of a network cannot be adapted to other channels."""


def first_conv(body: nn.Module) -> tuple[str, nn.Conv2d | nn.Conv3d]:
    """Find the convolution that takes the input, and its name.

    Raises:
        NoFirstLayerError: If there is none.
    """
    for name, part in body.named_modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            return name, part
    raise NoFirstLayerError("it has no convolution")


def set_in_channels(body: nn.Module, in_channels: int) -> None:
    """Make a network for RGB take another number of channels, with a newly initialised first layer.

    The other properties of that layer (stride, dilation, padding, its class) are kept.

    Raises:
        NoFirstLayerError: If the first layer does not take three channels.
    """
    if in_channels == _RGB:
        return
    name, conv = first_conv(body)
    if conv.in_channels != _RGB or conv.groups != 1:
        raise NoFirstLayerError(
            f"its first layer takes {conv.in_channels} channels that are computed from RGB"
        )
    wider = copy.deepcopy(conv)
    wider.in_channels = in_channels
    shape = (conv.out_channels, in_channels, *conv.kernel_size)
    wider.weight = nn.Parameter(torch.empty(shape, dtype=conv.weight.dtype, device=conv.weight.device))
    nn.init.kaiming_normal_(wider.weight, mode="fan_out", nonlinearity="relu")
    body.set_submodule(name, wider)


def adapt_first_layer(weight: Tensor, *, in_channels: int, channels_per_frame: int) -> Tensor:
    """Adapt the kernel of a first convolution to other channels than it was trained on.

    Args:
        weight: `[F, C, ...]`, with C = 3 unless it was adapted before.
        in_channels: Number of channels to take, frame by frame.
        channels_per_frame: Number of channels per frame among these; triples are treated as colours.

    Returns:
        Kernel `[F, in_channels, ...]`; the given weight if its number of channels fits.
    """
    known = weight.shape[1]
    if known == in_channels:
        return weight
    if known == _RGB and channels_per_frame % _RGB == 0:
        num_triples = in_channels // _RGB
        return torch.cat([weight / num_triples] * num_triples, dim=1)
    mean = weight.mean(dim=1, keepdim=True) * (known / in_channels)
    return torch.cat([mean] * in_channels, dim=1)
