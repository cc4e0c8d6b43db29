"""Comparison of small grey frames: how far apart two are, mirrored or not, shifted, brighter."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from vidcls.data.doctor.draws import Grey

Float = NDArray[np.float64]
_COARSE = (12, 12)
AnyFloat = TypeVar("AnyFloat", bound=np.floating[Any])


def standardised(grey: Grey) -> Float:
    """Frames `[T, h, w]` with mean 0 and standard deviation 1 over the clip; zeros for a constant clip."""
    values = grey.astype(np.float64)
    centred = values - values.mean()
    spread = centred.std()
    result: Float = (
        centred / spread if spread > 1e-6 * max(1.0, abs(values).max()) else np.zeros_like(centred)
    )
    return result


def mirrored(grey: NDArray[AnyFloat]) -> NDArray[AnyFloat]:
    """Frames with left and right exchanged."""
    return grey[..., ::-1]


def coarse(grey: Grey) -> Float:
    """Standardised frames at 12 x 12, in which the noise of single pixels is small: `[T, 12, 12]`."""
    frames = torch.from_numpy(standardised(grey))[:, None]
    return np.asarray(F.adaptive_avg_pool2d(frames, _COARSE)[:, 0].numpy(), np.float64)


def correlation(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Correlation of two pictures or clips, from -1 to 1; 0 if one is constant."""
    a, b = (np.asarray(one, np.float64) - np.mean(one, dtype=np.float64) for one in (first, second))
    size = np.sqrt((a * a).sum() * (b * b).sum())
    scale = max(1.0, np.abs(first).max() * np.abs(second).max()) * a.size
    return float((a * b).sum() / size) if size > 1e-10 * scale else 0.0


def distances(frames: Float) -> Float:
    """Mean absolute difference of each two frames, the less of mirrored or not: `[T, T]`."""
    flat, turned = (one.reshape(len(frames), -1) for one in (frames, mirrored(frames)))
    plain = np.abs(flat[:, None] - flat[None]).mean(-1)
    crossed = np.abs(flat[:, None] - turned[None]).mean(-1)
    result: Float = np.minimum(plain, crossed)
    return result


def shift_px(
    first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]], *, most: int
) -> tuple[int, int, float]:
    """Shift (down, right) of a picture against another one, and the correlation where they overlap then."""
    height, width = first.shape
    best = (0, 0, -1.0)
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            a = first[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
            b = second[max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
            found = correlation(a, b)
            if found > best[2] + 1e-9:
                best = (down, right, found)
    return best
