"""Assignment of samples to the batches of an epoch: pure functions of the seed and the epoch."""

from __future__ import annotations

from itertools import pairwise

from vidcls.data.sampling import Indices, generator


def sample_order(num_samples: int, *, seed: int, epoch: int) -> Indices:
    """Order of the samples in an epoch: `[num_samples]`."""
    return generator("order", seed, epoch).permutation(num_samples)


def drawn_views(num_videos: int, *, num_views: int, seed: int, epoch: int) -> Indices:
    """Index of the fixed view of each video in an epoch: `[num_videos]`, in the order of the videos."""
    return generator("views", seed, epoch).integers(num_views, size=num_videos)


def batch_bounds(num_samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each batch; a single last sample joins the batch before it."""
    starts = list(range(0, num_samples, batch_size))
    if num_samples % batch_size == 1 and len(starts) > 1:
        starts.pop()
    return list(pairwise([*starts, num_samples]))
