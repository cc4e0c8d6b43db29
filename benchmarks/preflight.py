"""`vidcls check` of every shipped experiment with nothing remembered, and the same again."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.common import REPOSITORY, WORK, Result, finish, motion10, real_data

TARGET_S = 30.0
VIDCLS = Path(sys.executable).with_name("vidcls")
NAMES = ("cnn3d", "frame_average", "early_fusion", "late_fusion", "ensemble")


def run() -> list[Result]:
    """Measure."""
    data = real_data("ufc10") or motion10()
    folder = WORK / "preflight"
    first: dict[str, float] = {}
    again: dict[str, float] = {}
    for name in NAMES:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        words = [
            *(str(VIDCLS), "check", str(REPOSITORY / "experiments" / f"{name}.yaml")),
            *(f"data.root={data.root}", "clip.size=[112,112]", "tracking.mode=disabled"),
            *(f"runs_dir={folder}/runs", f"store_dir={folder}/store"),
        ]
        first[name], again[name] = _seconds(words), _seconds(words)
    slowest = max(first, key=lambda name: first[name])
    return [
        Result(
            "vidcls check, nothing remembered",
            f"{first[slowest]:.1f} s ({slowest})",
            f"at most {TARGET_S:g} s",
            first[slowest] <= TARGET_S,
            f"{data.name}, 112x112; median of {len(NAMES)} experiments"
            f" {statistics.median(first.values()):.1f} s, the same again"
            f" {statistics.median(again.values()):.1f} s",
        )
    ]


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(finish(run()))
