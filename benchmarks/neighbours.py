"""Training beside as many busy processes as there are cores: `threads: auto` against each fixed number.

`vidcls train` of `cnn3d` on stored clips, in processes of their own that take turns; clips per second of the
epochs after the first, whose start is not that of a training.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import CACHE, REPOSITORY, Result, finish, fresh, ratio_text, spec_of, subset, videos
from vidcls.process.cores import usable_cores
from vidcls.spec.show import to_yaml
from vidcls.tracking.jsonl import read_rows

TARGET = 0.9
ROUNDS, EPOCHS = 5, 5
NUM_TRAIN, NUM_VAL = 48, 10


def run() -> list[Result]:
    """Measure."""
    folder = fresh("neighbours")
    csv = subset(videos(), folder / "data.csv", amounts={"train": NUM_TRAIN, "val": NUM_VAL})
    file = folder / "cnn3d.yaml"
    overrides = [
        *(f"data.root={csv}", f"store_dir={CACHE}", f"runs_dir={folder / 'runs'}", "train.precision=fp32"),
        *("clip.frames=10", "clip.size=[112, 112]", f"train.epochs={EPOCHS}", "train.batch_size=16"),
        "tracking.mode=disabled",
    ]
    file.write_text(to_yaml(spec_of("cnn3d", overrides).spec))
    _clips_per_s(file, folder, threads="1", seed=ROUNDS)  # fills the store
    fixed = [str(number) for number in range(1, usable_cores() + 1)]
    speeds: dict[str, list[float]] = {threads: [] for threads in ("auto", *fixed)}
    with _neighbours(usable_cores()):
        for seed in range(ROUNDS):
            for threads, found in speeds.items():
                found.append(_clips_per_s(file, folder, threads=threads, seed=seed))
    best = max(fixed, key=lambda threads: statistics.median(speeds[threads]))
    ratios = [auto / other for auto, other in zip(speeds["auto"], speeds[best], strict=True)]
    medians = ", ".join(f"{threads}: {statistics.median(found):.1f}" for threads, found in speeds.items())
    return [
        Result(
            f"threads: auto beside {usable_cores()} busy processes",
            ratio_text(ratios),
            f"at least {TARGET:g} of the best fixed number",
            statistics.median(ratios) >= TARGET,
            f"clips/s of cnn3d by threads: {medians}",
        )
    ]


@contextlib.contextmanager
def _neighbours(number: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _clips_per_s(file: Path, folder: Path, *, threads: str, seed: int) -> float:
    command = [str(Path(sys.executable).with_name("vidcls")), "train", str(file), f"seed={seed}"]
    subprocess.run(
        [*command, f"train.threads={threads}"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL
    )
    (path,) = folder.glob(f"runs/cnn3d/*-s{seed}/metrics.jsonl")
    rows = [row["clips_per_s"] for row in read_rows(path) if row.get("kind") == "epoch"]
    path.parent.rename(folder / f"{threads}-{seed}")
    return statistics.median(float(value) for value in rows[1:] if value is not None)


if __name__ == "__main__":
    sys.exit(finish(run()))
