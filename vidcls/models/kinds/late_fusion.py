"""2D CNN on each frame that keeps a small map; the features are joined over time, then classified.

    clip [B, C, T, H, W]
      |  frames as images
    [B*T, C, H, W]
      |  2D backbone
    maps [B*T, F, h, w]
      |  average to m x m cells: this keeps positions, without which no join could detect motion
    [B*T, F*m*m]
      |  linear, ReLU
    features of the frames [B, T, D]
      |  join: mean | max | concat | gru | attention
    features of the clip [B, J]
      |  dropout, linear
    logits [B, K]

`mean` and `max` do not depend on the order of the frames; the other joins do.
Axes: B clips, C channels, T frames, H W pixels, F features, h w and m m cells of a map, D = `hidden`,
J = D (4 D for attention), K classes.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn

from vidcls.models.backbones import backbone_2d
from vidcls.models.frames import fold_time, unfold_time
from vidcls.models.kinds.base import BackboneModel
from vidcls.spec.model import LateFusionSection
from vidcls.spec.sections import Clip

_NUM_QUERIES = 4


class LateFusion(BackboneModel):
    """Model from clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Section with backbone, size of the map, features per frame, join and dropout.
        num_classes: Number of classes K.
        clip: Clip section with C, T, H, W; T is fixed for `concat` and `attention`.

    Raises:
        UserError: If the backbone is unknown or the frames are too small for it.
    """

    def __init__(self, section: LateFusionSection, *, num_classes: int, clip: Clip) -> None:
        super().__init__()
        self.backbone = backbone_2d(section.backbone, in_channels=clip.num_channels, size=clip.size)
        self.encoding = f"{section.map_size} x {section.map_size} map of each frame"
        self.pool = MapPool(section.map_size)
        self.project = nn.Sequential(
            nn.Linear(self.backbone.num_features * section.map_size**2, section.hidden), nn.ReLU()
        )
        self.join = _build_join(section, clip.frames)
        num_features = self.join.num_features
        self.end_with(num_features=num_features, num_classes=num_classes, dropout=section.dropout)

    @property
    def sees_order(self) -> bool:
        """Whether the join depends on the order of the frames."""
        return not isinstance(self.join, MeanJoin | MaxJoin)

    def extract(self, clip: Tensor) -> Tensor:
        """Compute `[B, T, F, m, m]` from `[B, C, T, H, W]`."""
        return unfold_time(self.pool(self.backbone(fold_time(clip))), clip=clip)

    def summary(self, features: Tensor) -> Tensor:
        """Compute `[B, J]` from `[B, T, F, m, m]`."""
        joined: Tensor = self.join(self.project(features.flatten(2)))
        return joined


class MapPool(nn.Module):
    """Averages a map to m x m cells, like adaptive average pooling.

    It uses two products with averaging matrices, whose gradient on CUDA is reproducible bit for bit.
    """

    def __init__(self, map_size: int) -> None:
        super().__init__()
        self.map_size = map_size

    def forward(self, maps: Tensor) -> Tensor:
        """Compute `[N, F, m, m]` from `[N, F, h, w]`."""
        rows, columns = (self._averages(length, maps) for length in maps.shape[2:])
        return torch.einsum("nfhw,ih,jw->nfij", maps, rows, columns)

    def _averages(self, length: int, like: Tensor) -> Tensor:
        """Matrix `[m, length]`: cell i averages inputs floor(i length / m) to ceil((i + 1) length / m)."""
        cells = torch.arange(self.map_size, device=like.device)[:, None]
        positions = torch.arange(length, device=like.device)
        # An input belongs to a cell if their spans overlap, in units of 1 / (m * length).
        inside = (positions * self.map_size < (cells + 1) * length) & (
            (positions + 1) * self.map_size > cells * length
        )
        return (inside / inside.sum(dim=1, keepdim=True)).to(like.dtype)


class MeanJoin(nn.Module):
    """Mean over time."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.num_features = hidden

    def forward(self, features: Tensor) -> Tensor:
        """Compute `[B, D]` from `[B, T, D]`."""
        return features.mean(dim=1)


class MaxJoin(nn.Module):
    """Maximum over time."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.num_features = hidden

    def forward(self, features: Tensor) -> Tensor:
        """Compute `[B, D]` from `[B, T, D]`."""
        return features.amax(dim=1)


class ConcatJoin(nn.Module):
    """Concatenation over time, followed by a linear layer and ReLU.

    Without the ReLU the logits would be sums over frames, which cannot depend on pairs of positions.
    """

    def __init__(self, hidden: int, num_frames: int) -> None:
        super().__init__()
        self.num_features = hidden
        self.mix = nn.Sequential(nn.Linear(num_frames * hidden, hidden), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """Compute `[B, D]` from `[B, T, D]`."""
        mixed: Tensor = self.mix(features.flatten(1))
        return mixed


class GRUJoin(nn.Module):
    """Last state of a gated recurrent unit (arXiv:1406.1078)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.num_features = hidden
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def forward(self, features: Tensor) -> Tensor:
        """Compute `[B, D]` from `[B, T, D]`."""
        states: Tensor = self.gru(features)[0]
        return states[:, -1]


class AttentionJoin(nn.Module):
    """Attention with four learned queries, each a weighted mean over time.

    The weights depend on the features and on the position in time, so one query may attend to the beginning
    and another one to the end; a separate mixing layer relates them.
    """

    def __init__(self, hidden: int, num_frames: int) -> None:
        super().__init__()
        self.num_features = _NUM_QUERIES * hidden
        self.score = nn.Linear(hidden, _NUM_QUERIES)
        self.place = nn.Parameter(torch.randn(num_frames, _NUM_QUERIES))
        self.mix = nn.Sequential(nn.Linear(self.num_features, self.num_features), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """Compute `[B, 4 D]` from `[B, T, D]`."""
        weights = (self.score(features) + self.place).softmax(dim=1)
        mixed: Tensor = self.mix(torch.einsum("btq,btd->bqd", weights, features).flatten(1))
        return mixed


Join = MeanJoin | MaxJoin | ConcatJoin | GRUJoin | AttentionJoin


def _build_join(section: LateFusionSection, num_frames: int) -> Join:
    match section.join:
        case "mean":
            return MeanJoin(section.hidden)
        case "max":
            return MaxJoin(section.hidden)
        case "concat":
            return ConcatJoin(section.hidden, num_frames)
        case "gru":
            return GRUJoin(section.hidden)
        case "attention":
            return AttentionJoin(section.hidden, num_frames)
        case _:
            assert_never(section.join)
