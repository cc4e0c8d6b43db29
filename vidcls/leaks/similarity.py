"""Similarity of videos by the descriptors of their frames, compared block by block in flat memory.

The descriptors of all frames are whitened together, so that features common to most videos count little. The
similarity of two videos is the mean similarity of the frames of one to their nearest frames in the other.
Every pair is compared: an index of nearest neighbours would miss some, and would still need the similarities
of unrelated pairs for the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vidcls.arrays import Ints
from vidcls.leaks.descriptors import Vectors

_NUM_DIRECTIONS = 256
_SHRINKAGE = 0.03  # share of the largest variance; smaller directions are noise and are not amplified
_MAX_SAMPLE = 20_000
_BLOCK = 256  # videos; the products of two blocks stay near the size of a processor's cache


class Comparison:
    """Compares any videos of a list with each other.

    Args:
        descriptors: Descriptors of each video, `[2, n, D]`: of its frames, and of its mirrored frames.
        parts: Lengths of the parts of a descriptor, which add up to D; each part has the same weight.
    """

    def __init__(self, descriptors: Sequence[NDArray[np.float16]], *, parts: Sequence[int]) -> None:
        whiten = _whitening(descriptors, parts=parts)
        num, most = len(descriptors), max(video.shape[1] for video in descriptors)
        # Shorter videos are filled up with a frame of their own, which is never nearer than the others.
        self._views = np.empty((2, num, most, min(_NUM_DIRECTIONS, sum(parts))), dtype=np.float32)
        self._weights = np.zeros((num, most, 1), dtype=np.float32)
        for index, video in enumerate(descriptors):
            num_frames = video.shape[1]
            self._views[:, index, :num_frames] = whiten(video.reshape(-1, video.shape[-1])).reshape(
                2, num_frames, -1
            )
            self._views[:, index, num_frames:] = self._views[:, index, :1]
            self._weights[index, :num_frames] = 1 / num_frames

    def __len__(self) -> int:
        return len(self._weights)

    def blocks(
        self, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[tuple[Ints, Ints, Vectors, NDArray[np.bool_]]]:
        """All pairs in blocks: indices of the rows `[R]` and of the columns `[C]`, then as in `between`."""
        indices = np.arange(len(self))
        cuts = np.split(indices, range(_BLOCK, len(self), _BLOCK))
        num_done, num_blocks = 0, len(cuts) * (len(cuts) + 1) // 2
        for number, rows in enumerate(cuts):
            for columns in cuts[number:]:
                yield rows, columns, *self.between(rows, columns)
                num_done += 1
                if progress is not None:
                    progress(num_done, num_blocks)

    def between(self, rows: Ints, columns: Ints) -> tuple[Vectors, NDArray[np.bool_]]:
        """Similarity of each pair `[R, C]`, -1 to 1, and whether it is higher with one of them mirrored."""
        (plain, mirrored), (other, other_mirrored) = self._views[:, rows], self._views[:, columns]
        weights, other_weights = self._weights[rows], self._weights[columns]
        # A trimmed video is contained in the other one, but not the reverse, so take the larger similarity.
        products = _products(plain, other)
        alike = np.maximum(_of_rows(products, weights), _of_columns(products, other_weights))
        alike_mirrored = np.maximum(
            _of_rows(_products(plain, other_mirrored), weights),
            _of_columns(_products(mirrored, other), other_weights),
        )
        is_mirrored = alike_mirrored > alike
        return np.maximum(alike, alike_mirrored, out=alike), is_mirrored


def _products(frames: Vectors, others: Vectors) -> Vectors:
    """Products of all frames of videos `[R, n, d]` and others `[C, m, d]`: `[R, n, C, m]`."""
    flat: Vectors = frames.reshape(-1, frames.shape[-1]) @ others.reshape(-1, others.shape[-1]).T
    return flat.reshape(*frames.shape[:2], *others.shape[:2])


def _of_rows(products: Vectors, weights: Vectors) -> Vectors:
    """Mean over the frames of each row of the nearest frame of each column, `[R, C]`."""
    nearest = products[..., 0].copy()
    for frame in range(1, products.shape[3]):  # several times as fast as a maximum over a short last axis
        np.maximum(nearest, products[..., frame], out=nearest)
    return np.asarray((nearest * weights).sum(axis=1))


def _of_columns(products: Vectors, weights: Vectors) -> Vectors:
    """Mean over the frames of each column of the nearest frame of each row, `[R, C]`."""
    return np.asarray((products.max(axis=1) * weights[..., 0]).sum(axis=2))


def _whitening(
    descriptors: Sequence[NDArray[np.float16]], *, parts: Sequence[int]
) -> Callable[[NDArray[np.float16]], Vectors]:
    """Function from descriptors `[n, D]` to unit vectors in which no direction is common to all videos."""
    num_frames = sum(video.shape[1] for video in descriptors)
    every = -(-num_frames // _MAX_SAMPLE)
    sample = np.concatenate([video.reshape(-1, video.shape[-1]) for video in descriptors[::every]])
    sample = sample.astype(np.float32)
    mean = sample.mean(axis=0)
    lengths = [
        np.sqrt(np.mean(np.sum(part**2, axis=1)))
        for part in np.split(sample - mean, np.cumsum(parts)[:-1], 1)
    ]
    scale = np.repeat(1 / np.maximum(lengths, 1e-6), parts).astype(np.float32)
    centred = (sample - mean) * scale
    values, directions = np.linalg.eigh((centred.T @ centred / len(centred)).astype(np.float64))
    values, directions = values[::-1][:_NUM_DIRECTIONS], directions[:, ::-1][:, :_NUM_DIRECTIONS]
    floor = _SHRINKAGE * values[0] + 1e-12
    turn = (directions / np.sqrt(np.maximum(values, 0) + floor)).astype(np.float32)

    def whiten(frames: NDArray[np.float16]) -> Vectors:
        turned = ((frames.astype(np.float32) - mean) * scale) @ turn
        return np.asarray(turned / (np.linalg.norm(turned, axis=1, keepdims=True) + 1e-9), dtype=np.float32)

    return whiten
