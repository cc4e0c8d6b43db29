"""Batches from the warm, mapped store against decord decoding each clip.

vidcls gives normalised float batches with random-resized crop and flip. decord's side is two processes that
decode ten frames of each video at 112 px and throw them away: no crop, no flip, no batch, no way back to the
training process. Both may use all cores; they take turns. The claim is about real video: the frames of
motion10 are so small that decoding them costs little, so there the ratio is only reported.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import CACHE, FLIP_LABELS, Result, finish, manifest_of, ratio_text, videos
from vidcls.data.batches.clips import Clips
from vidcls.data.batches.open_clips import open_clips
from vidcls.data.manifest import Video
from vidcls.process.cores import usable_cores
from vidcls.spec.data import DataSection
from vidcls.spec.sections import AugmentSection, Clip

TARGET = 20.0
ROUNDS, ROUND_S, DECODED_A_ROUND = 7, 1.0, 80
CLIP = Clip(frames=10, size=(112, 112))
AUGMENT = AugmentSection(flip=0.5, crop="random_resized")


def run() -> list[Result]:
    """Measure."""
    data = videos()
    manifest = manifest_of(data.root)
    section = DataSection(
        root=str(data.root), residency="mapped", flip_labels=FLIP_LABELS if data.is_demo else None
    )
    torch.set_num_threads(usable_cores())
    rng = np.random.default_rng(0)
    ours: list[float] = []
    theirs: list[float] = []
    with (
        open_clips(
            manifest.videos,
            data=section,
            clip=CLIP,
            classes=manifest.classes,
            store_dir=CACHE,
            device=torch.device("cpu"),
        ) as clips,
        ProcessPoolExecutor(usable_cores(), mp_context=get_context("spawn")) as pool,
    ):
        for number in range(ROUNDS + 1):  # the first one warms both up
            ours.append(_store_clips_per_s(clips, manifest.videos, first_epoch=100 * number))
            picked = [
                manifest.videos[i].path for i in rng.permutation(len(manifest.videos))[:DECODED_A_ROUND]
            ]
            theirs.append(_decord_clips_per_s(pool, picked))
    ratios = [a / b for a, b in zip(ours[1:], theirs[1:], strict=True)]
    rates = f"{statistics.median(ours[1:]):.0f} to {statistics.median(theirs[1:]):.0f} clips/s"
    return [
        Result(
            "store against decord",
            ratio_text(ratios),
            f"at least {TARGET:g}" + (" on real video" if data.is_demo else ""),
            data.is_demo or statistics.median(ratios) >= TARGET,
            f"{rates}; {data.name}, {len(manifest.videos)} videos, 10 frames 112 px, {usable_cores()} cores",
        )
    ]


def _store_clips_per_s(clips: Clips, found: Sequence[Video], *, first_epoch: int) -> float:
    seen = 0
    started = time.perf_counter()
    for epoch in itertools.count(first_epoch):
        for batch in clips.train_batches(found, augment=AUGMENT, seed=0, batch_size=16, epoch=epoch):
            seen += len(batch.ids)
            if (passed_s := time.perf_counter() - started) > ROUND_S:
                return seen / passed_s
    raise AssertionError


def _decord_clips_per_s(pool: ProcessPoolExecutor, paths: Sequence[Path]) -> float:
    started = time.perf_counter()
    sizes = list(pool.map(decode_clip, map(str, paths), chunksize=1))
    assert all(size == CLIP.frames for size in sizes)
    return len(paths) / (time.perf_counter() - started)


def decode_clip(path: str) -> int:
    """Decode a clip as a data set without a store does, in a worker process; the number of frames."""
    import decord

    height, width = CLIP.size
    reader = decord.VideoReader(path, width=width, height=height, num_threads=1)
    indices = np.linspace(0, len(reader) - 1, CLIP.frames).astype(int)
    return len(reader.get_batch(indices).asnumpy())


if __name__ == "__main__":
    sys.exit(finish(run()))
