"""Converts clips to images and back, for 2D networks."""

from __future__ import annotations

from torch import Tensor


def fold_time(clip: Tensor) -> Tensor:
    """Convert `[B, C, T, H, W]` to its frames as images `[B * T, C, H, W]`, clip by clip."""
    return clip.transpose(1, 2).flatten(0, 1)


def unfold_time(images: Tensor, *, clip: Tensor) -> Tensor:
    """Group results `[B * T, ...]` of the frames of `clip` `[B, C, T, H, W]`: `[B, T, ...]`."""
    return images.reshape(clip.shape[0], clip.shape[2], *images.shape[1:])
