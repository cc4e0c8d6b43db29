"""`data check` and the building of the store, against a bare decode of the same files.

vidcls looks at every frame of every file, judges it, proves seeks, and fills a store of ten frames a video at
112 px: the start of its workers and all that it writes included, nothing cached but digests. The peer decodes
every frame to RGB in order and throws it away, in as many processes, started before: with decord, or PyAV
where that is not installed. They take turns, on a quiet machine: beside other work the ratio was 2. Only on
real videos: the demo data is decoded in less time than the workers take to start, and the ratio is that of
their start.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks.common import Result, finish, fresh, manifest_of, ratio_text, real_data
from vidcls.data.batches.open_clips import open_clips
from vidcls.data.checks.check import check
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.readers import decord_is_there, read
from vidcls.data.decoding.workers import Decoders
from vidcls.data.manifest import Manifest
from vidcls.process.cores import usable_cores
from vidcls.spec.data import DataSection
from vidcls.spec.sections import Clip

TARGET = 1.3
ROUNDS = 4
CLIP = Clip(frames=10, size=(112, 112))


def run() -> list[Result]:
    """Measure."""
    data = real_data("ufc10")
    if data is None:
        print("  check: not measured, as it needs real videos: VIDCLS_SHARED names the folder of ufc10")
        return []
    manifest = manifest_of(data.root)
    paths = [video.path for video in manifest.videos]
    ours: list[float] = []
    theirs: list[float] = []
    with ProcessPoolExecutor(usable_cores(), mp_context=get_context("spawn")) as pool:
        for _ in range(ROUNDS + 1):  # the first one warms both up
            theirs.append(_bare_s(pool, paths))
            ours.append(_check_and_store_s(manifest))
    ratios = [a / b for a, b in zip(ours[1:], theirs[1:], strict=True)]
    seconds = f"{statistics.median(ours[1:]):.1f} to {statistics.median(theirs[1:]):.1f} s"
    peer = "decord" if decord_is_there() else "PyAV"
    return [
        Result(
            "check and store against a bare decode",
            ratio_text(ratios),
            f"at most {TARGET:g}",
            statistics.median(ratios) <= TARGET,
            f"{seconds}; {data.name}, {len(paths)} videos, {peer} to RGB, {usable_cores()} processes each",
        )
    ]


def _check_and_store_s(manifest: Manifest) -> float:
    store_dir = fresh("check")
    started = time.perf_counter()
    decoders = Decoders(workers=usable_cores(), timeout_s=120)
    try:
        result = check(manifest.root, store_dir=store_dir, decoders=decoders)
    finally:
        decoders.close()
    assert len(result.good) == len(manifest.videos)
    section = DataSection(root=str(manifest.root), residency="mapped")
    device = torch.device("cpu")
    with open_clips(manifest.videos, data=section, clip=CLIP, store_dir=store_dir, device=device):
        return time.perf_counter() - started


def _bare_s(pool: ProcessPoolExecutor, paths: Sequence[Path]) -> float:
    started = time.perf_counter()
    assert all(count > 0 for count in pool.map(decode_all, paths, chunksize=1))
    return time.perf_counter() - started


def decode_all(path: Path) -> int:
    """Decode every frame of a file to RGB, in a worker process; their number."""
    num_frames = 0
    try:
        for load in read(path, "decord" if decord_is_there() else "pyav"):
            load()
            num_frames += 1
    except DecodeError:  # where the header promises more frames than there are
        pass
    return num_frames


if __name__ == "__main__":
    sys.exit(finish(run()))
