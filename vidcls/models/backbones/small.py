"""Networks `small`: three convolutions in 2D or 3D, for small data and for tests."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vidcls.models.frames import fold_time, unfold_time

_CHANNELS = (32, 64, 128)


class Small2D(nn.Sequential):
    """Network from images `[N, C, H, W]` to a map `[N, 128, H/8, W/8]`: three convolutions, each pooled."""

    def __init__(self, in_channels: int) -> None:
        channels = (in_channels, *_CHANNELS)
        super().__init__(
            *(
                nn.Sequential(
                    nn.Conv2d(channels[i], channels[i + 1], 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels[i + 1]),
                    nn.MaxPool2d(2),  # before the ReLU: same result, a quarter of the work
                    nn.ReLU(),
                )
                for i in range(len(_CHANNELS))
            )
        )


class Small3D(nn.Sequential):
    """Network from clips `[B, C, T, H, W]` to features `[B, 128]`: three convolutions, mean over positions.

    Space is halved in every block by pooling, time in the second and third block by stride.
    """

    def __init__(self, in_channels: int) -> None:
        strides = ((1, 1, 1), (2, 1, 1), (2, 1, 1))
        channels = (in_channels, *_CHANNELS)
        super().__init__(
            *(
                nn.Sequential(
                    nn.Conv3d(channels[i], channels[i + 1], 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm3d(channels[i + 1]),
                    FramePool(),  # before the ReLU: same result, a quarter of the work
                    nn.ReLU(),
                )
                for i, stride in enumerate(strides)
            ),
            SpaceTimeMean(),
        )


class FramePool(nn.Module):
    """2 x 2 max pooling of each frame.

    It pools images, because unlike for 3D pooling the gradient on CUDA is reproducible bit for bit.
    """

    def forward(self, clip: Tensor) -> Tensor:
        """Compute `[B, C, T, H/2, W/2]` from `[B, C, T, H, W]`."""
        return unfold_time(F.max_pool2d(fold_time(clip), 2), clip=clip).transpose(1, 2)


class SpaceTimeMean(nn.Module):
    """Mean over time and space."""

    def forward(self, features: Tensor) -> Tensor:
        """Compute `[B, F]` from `[B, F, T, H, W]`."""
        return features.mean(dim=(2, 3, 4))
