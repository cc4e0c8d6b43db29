"""A layer of own_models."""

from torch import Tensor, nn


class Pool(nn.Module):
    """Mean over time and space, and its spread over time, so that order and motion are seen."""

    def forward(self, features: Tensor) -> Tensor:
        weights = features.new_tensor(range(1, features.shape[2] + 1)) / features.shape[2]
        return (features.mean((3, 4)) * weights).mean(2)


class Times(nn.Module):
    """A factor that is no weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, features: Tensor) -> Tensor:
        return features * self.factor
