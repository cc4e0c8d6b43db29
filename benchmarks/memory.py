"""Peak anonymous memory of an epoch of batches does not grow with the number of videos.

Anonymous memory is what the kernel cannot give back: RssAnon of /proc, summed over the process that reads the
batches and all its workers, looked at after each batch. Each figure is a process of its own. Mapped pages of
the store are no part of it: they are the page cache. Linux only.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import CACHE, REPOSITORY, WORK, Result, finish, manifest_of, subset, videos

TARGET = 1.1
FEW, MANY = 60, 240
BATCH_SIZE = 8
RESIDENCIES = ("mapped", "streamed")


def run() -> list[Result]:
    """Measure."""
    if not Path("/proc/self/status").exists():
        return [Result("memory", "not measured", "needs Linux", True, "no /proc here")]
    data = videos()
    WORK.mkdir(parents=True, exist_ok=True)
    files = {num: subset(data, WORK / f"memory-{num}.csv", amounts={"train": num}) for num in (FEW, MANY)}
    results: list[Result] = []
    for residency in RESIDENCIES:
        for file in files.values():  # probes and store are made here, not where it counts
            _peak_in_child(residency, file)
        few, many = (_peak_in_child(residency, file) for file in files.values())
        each = (many - few) / (MANY - FEW) / 2**10
        sizes = f"{few / 2**20:.0f} to {many / 2**20:.0f} MiB for {FEW} to {MANY} videos, {each:.1f} KiB each"
        results.append(
            Result(
                f"memory, {residency}",
                f"{many / few:.3f}",
                f"at most {TARGET} for {MANY // FEW} times the videos",
                many / few <= TARGET,
                f"{sizes}; {data.name}, 10 frames 112 px (368 KiB a clip)",
            )
        )
    return results


def _peak_in_child(residency: str, file: Path) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", residency, str(file)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def peak_bytes(residency: str, file: Path) -> int:
    """The largest anonymous memory seen over an epoch of batches of the videos of a CSV."""
    import torch

    from vidcls.data.batches.open_clips import open_clips
    from vidcls.spec.data import DataSection
    from vidcls.spec.sections import AugmentSection, Clip

    manifest = manifest_of(file)
    section = DataSection.model_validate_json(f'{{"residency": "{residency}"}}')
    peak = 0
    with open_clips(
        manifest.videos,
        data=section,
        clip=Clip(frames=10, size=(112, 112)),
        classes=manifest.classes,
        store_dir=CACHE,
        device=torch.device("cpu"),
    ) as clips:
        for _batch in clips.train_batches(
            manifest.split("train"), augment=AugmentSection(), seed=0, batch_size=BATCH_SIZE, epoch=0
        ):
            peak = max(peak, sum(_anonymous_bytes()))
    return peak


def _anonymous_bytes() -> Iterator[int]:
    import psutil

    here = psutil.Process()
    for process in [here, *here.children(recursive=True)]:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue  # a worker that ended meanwhile
        found = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
        yield int(found[1]) * 2**10 if found else 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(peak_bytes(sys.argv[1], Path(sys.argv[2])))
    else:
        sys.exit(finish(run()))
