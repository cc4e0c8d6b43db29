"""Ensemble of sub-models on the same clip, trained together; their logits are joined.

    clip [B, C, T, H, W]
      |  each member, a model of any other kind
    logits of the members [B, M, K]
      |  mean or max over M
    logits [B, K]

Members that freeze the same pretrained backbone share it; those with the same encoding run it once per clip.
Axes: B clips, C channels, T frames, H W pixels, M members, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from vidcls.models.kinds.base import BackboneModel, Features, VideoModel


class Ensemble(VideoModel):
    """Model from clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        members: Models with the same number of logits. Equal models differ in their random initialisation.
        aggregate: How the logits are joined.
    """

    def __init__(self, members: Iterable[VideoModel], *, aggregate: Literal["mean", "max"]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.aggregate = aggregate

    @property
    def sees_order(self) -> bool:
        """Whether the logits of a member depend on the order of the frames."""
        return any(member.sees_order for member in self._parts())

    def leaves(self) -> tuple[BackboneModel, ...]:
        """Leaves of the members; of leaves with the same backbone and encoding, only the first."""
        distinct: dict[tuple[int, str], BackboneModel] = {}
        for member in self._parts():
            for leaf in member.leaves():
                distinct.setdefault(_key(leaf), leaf)
        return tuple(distinct.values())

    def encode(self, clip: Tensor) -> Features:
        """Compute the features of each leaf from `[B, C, T, H, W]`."""
        found: dict[tuple[int, str], Tensor] = {}
        for member in self._parts():
            keys = [_key(leaf) for leaf in member.leaves()]
            if not found.keys() >= set(keys):
                found = dict(zip(keys, member.encode(clip), strict=True)) | found
        return tuple(found[_key(leaf)] for leaf in self.leaves())

    def classify(self, features: Features) -> Tensor:
        """Compute `[B, K]` from the features of each leaf, which members may share but reduce differently."""
        found = dict(zip(map(_key, self.leaves()), features, strict=True))
        each = [
            member.classify(member.reduce([found[_key(leaf)] for leaf in member.leaves()]))
            for member in self._parts()
        ]
        logits = torch.stack(each, dim=1)
        return logits.mean(dim=1) if self.aggregate == "mean" else logits.amax(dim=1)

    def _parts(self) -> list[VideoModel]:
        return [cast(VideoModel, member) for member in self.members]


def _key(leaf: BackboneModel) -> tuple[int, str]:
    return id(leaf.backbone), leaf.encoding
