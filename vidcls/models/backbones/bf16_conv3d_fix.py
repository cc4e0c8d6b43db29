"""Workaround for a bug of PyTorch: bf16 gradients of 3D convolutions over two frames, on the CPU.

If a `Conv3d` with temporal stride 1 pads a clip of exactly two frames, the gradient of its weight under bf16
on the CPU contains uninitialised memory (seen with torch 2.14.1: NaN, or different values in each run). One,
three and more frames, stride 2, and float32 are correct. Padding with zeros before the convolution gives the
same result and a correct gradient.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from vidcls.models.backbones.shapes import output_shape


def pad_short_clips(network: nn.Module, clip_shape: tuple[int, ...]) -> None:
    """Pad explicitly in the convolutions that get two frames when `network` takes `[B, C, T, H, W]`.

    Raises:
        TooSmallError: If the network refuses the shape.
    """
    short: list[nn.Conv3d] = []

    def note(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(conv, nn.Conv3d) and inputs[0].shape[2] == 2 and conv not in short:
            short.append(conv)

    hooks = [
        part.register_forward_pre_hook(note)
        for part in network.modules()
        if isinstance(part, nn.Conv3d) and part.stride[0] == 1 and part.padding[0]
    ]
    try:
        output_shape(network, clip_shape)
    finally:
        for hook in hooks:
            hook.remove()
    for conv in short:
        num_frames, *sides = (int(side) for side in conv.padding)
        conv.padding = (0, *sides)
        conv.register_forward_pre_hook(partial(_pad_time, num_frames=num_frames))


def _pad_time(_conv: nn.Module, inputs: tuple[Tensor, ...], *, num_frames: int) -> tuple[Tensor]:
    return (F.pad(inputs[0], (0, 0, 0, 0, num_frames, num_frames)),)
