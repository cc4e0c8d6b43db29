"""Training steps in a process that keeps its memory, against one that leaves glibc as it is.

Forward, backward and optimizer step of `cnn3d` and `late_fusion` as they are shipped, on random clips, in
float32, with as many threads as cores. Each is a process of its own; they take turns.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys

from benchmarks.common import REPOSITORY, Result, finish, ratio_text

TARGET = 0.8
ROUNDS = 5
EXPERIMENTS = ("cnn3d", "late_fusion")
STEPS = """
import json, sys, time
from pathlib import Path
from vidcls.process.speed import compute_fast
compute_fast()
import torch
from torch.nn import functional as F
from vidcls.models.build import build
from vidcls.models.device import clip_format, to_channels_last
from vidcls.spec.load import load_spec

spec = load_spec(Path(sys.argv[1])).spec
model = build(spec.model, num_classes=10, clip=spec.clip).train()
to_channels_last(model)
optimizer = torch.optim.AdamW(model.parameters())
clips = torch.rand(16, spec.clip.num_channels, spec.clip.frames, *spec.clip.size)
clips, labels = clips.contiguous(memory_format=clip_format(channels_last=True)), torch.arange(16) % 10
for step in range(10):
    if step == 2:
        begun = time.perf_counter()
    F.cross_entropy(model(clips), labels).backward()
    optimizer.step()
    optimizer.zero_grad()
seconds = time.perf_counter() - begun
from benchmarks.common import peak_bytes
print(json.dumps([seconds, peak_bytes() / 2**20]))
"""


def run() -> list[Result]:
    """Measure."""
    if platform.libc_ver()[0] != "glibc":
        print("  kept_memory: not measured, as the C library is not glibc")
        return []
    return [_of(name) for name in EXPERIMENTS]


def _of(name: str) -> Result:
    pairs = [(_steps(name, keep="1"), _steps(name, keep="0")) for _ in range(ROUNDS)]
    ratios = [kept[0] / fresh[0] for kept, fresh in pairs]
    seconds = [statistics.median(row[side][0] for row in pairs) for side in (0, 1)]
    peaks = [statistics.median(row[side][1] for row in pairs) for side in (0, 1)]
    return Result(
        f"training steps with memory that is kept, {name}",
        ratio_text(ratios),
        f"at most {TARGET:g} of the time without",
        statistics.median(ratios) <= TARGET,
        f"{seconds[0]:.2f} to {seconds[1]:.2f} s for 8 steps of 16 clips; at most {peaks[0]:.0f} and"
        f" {peaks[1]:.0f} MiB resident",
    )


def _steps(name: str, *, keep: str) -> tuple[float, float]:
    """Seconds of eight steps, and the most memory that the process used, in MiB."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    file = REPOSITORY / "experiments" / f"{name}.yaml"
    command = [sys.executable, "-c", STEPS, str(file)]
    environment = kept | {"VIDCLS_KEEP_MEMORY": keep}
    seconds, mib = json.loads(
        subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=True).stdout
    )
    return seconds, mib


if __name__ == "__main__":
    sys.exit(finish(run()))
