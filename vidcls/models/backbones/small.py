"""The `small` networks: three convolutions in 2D or 3D, for small data and for tests."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vidcls.models.frames import fold_time, unfold_time

_CHANNELS = (32, 64, 128)


class Small2D(nn.Sequential):
    """Images `[N, C, H, W]` to a map `[N, 128, H/8, W/8]`: three convolutions, pooling after each."""

    def __init__(self, in_channels: int) -> None:
        channels = (in_channels, *_CHANNELS)
        super().__init__(
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


class Small3D(nn.Sequential):
    """Clips `[B, C, T, H, W]` to features `[B, 128]`: three convolutions, then the mean over all positions.

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
