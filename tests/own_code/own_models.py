"""Models as users write them; they lie outside of every package, as those of users do."""

import torch
from own_layers import Pool, Times
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


class DropsInForward(Divided):
    """It has a backbone and a head, and more between them, which only training shows."""

    def forward(self, clip: Tensor) -> Tensor:
        features = self.backbone(clip)
        return self.head(nn.functional.dropout(features, 0.5, self.training))


class Gated(Divided):
    """What lies between backbone and head is switched off at the start."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, clip: Tensor) -> Tensor:
        features = self.backbone(clip)
        return self.head(features + self.gate * features.flip(1))


class Pooling(Divided):
    """The pooling, of the kind that an argument names, is part of the backbone and has no weights."""

    def __init__(self, num_classes: int, in_channels: int, factor: float = 1.0) -> None:
        super().__init__(num_classes, in_channels)
        self.backbone.append(Times(factor))


class PoolsInForward(nn.Module):
    """The pooling is in forward, so that head(backbone(clip)) fails."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.backbone = nn.Conv3d(in_channels, 8, 3, padding=1)
        self.head = nn.Linear(8, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        return self.head(self.backbone(clip).mean((2, 3, 4)))


class Lazy(nn.Module):
    """Layers that know their shapes after a first clip."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LazyConv3d(4, 3), nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, clip: Tensor) -> Tensor:
        return self.layers(clip)


class Changes(Divided):
    """Its constructor changes the arguments that it is given."""

    def __init__(self, num_classes: int, in_channels: int, widths: list[int]) -> None:
        super().__init__(num_classes, in_channels, width=widths.pop())


class TupleInTraining(Divided):
    """As some networks of torchvision do, it gives two outputs in training."""

    def forward(self, clip: Tensor) -> Tensor:
        logits = super().forward(clip)
        return (logits, logits) if self.training else logits


class FailsInTraining(Divided):
    """It fails in the first step of a training."""

    def forward(self, clip: Tensor) -> Tensor:
        return super().forward(clip) + (torch.ones(3) if self.training and len(clip) > 2 else 0)


class GivesTwo(nn.Module):
    """Its backbone gives two tensors, which its head takes."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.backbone = Two(in_channels)
        self.head = Joined(num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        return self.head(self.backbone(clip))


class Two(nn.Module):
    """Mean and largest value of a convolution."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv3d(in_channels, 4, 3)

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layer(clip).flatten(2)
        return features.mean(2), features.amax(2)


class Joined(nn.Module):
    """A linear layer on both."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(8, num_classes)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:
        return self.layer(torch.cat(features, 1))
