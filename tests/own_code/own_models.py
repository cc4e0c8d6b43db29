"""Models as users write them; they lie outside of every package, as those of users do."""

from own_layers import Pool
from torch import Tensor, nn


class Divided(nn.Module):
    """A 3D CNN with a backbone and a head."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 8) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv3d(in_channels, width, 3, stride=(1, 2, 2), padding=1),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            nn.Conv3d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            Pool(),
        )
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        return self.head(self.backbone(clip))


class Whole(nn.Module):
    """The same layers under other names."""

    def __init__(self, num_classes: int, clip_shape: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.layers = Divided(num_classes, clip_shape[0])

    def forward(self, clip: Tensor) -> Tensor:
        return self.layers(clip)


class Scaled(Divided):
    """It has a backbone and a head, but does more than both."""

    def forward(self, clip: Tensor) -> Tensor:
        return 2 * super().forward(clip)


def made(num_classes: int, *, in_channels: int) -> nn.Module:
    """Make a model in a function."""
    return Divided(num_classes, in_channels, width=4)
