"""`vidcls --help` against the bare import of the four packages that any such command line needs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import Result, finish, ratio_text

TARGET = 3.0
ROUNDS = 11
HEAVY = ("torch", "torchvision", "wandb", "decord", "optuna", "matplotlib", "pydantic")
HELP = [str(Path(sys.executable).with_name("vidcls")), "--help"]
BARE = [sys.executable, "-c", "import typer, pydantic, yaml, rich"]
_LOADED = """
import json, sys
from vidcls.cli import app
try:
    app(["--help"])
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def run() -> list[Result]:
    """Measure."""
    loaded = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    heavy = sorted(set(HEAVY).intersection(json.loads(loaded.stderr)))
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(ROUNDS + 1):  # the first one warms both up
        ours.append(_seconds(HELP))
        bare.append(_seconds(BARE))
    ratios = [a / b for a, b in zip(ours[1:], bare[1:], strict=True)]
    times = f"{statistics.median(ours[1:]):.2f} s to {statistics.median(bare[1:]):.2f} s"
    return [
        Result(
            "vidcls --help loads",
            f"{', '.join(heavy) or 'none'} of them",
            f"no {', '.join(HEAVY)}",
            not heavy,
            "sys.modules",
        ),
        Result(
            "vidcls --help against bare imports",
            ratio_text(ratios),
            f"at most {TARGET:g} times typer, pydantic, yaml, rich",
            statistics.median(ratios) <= TARGET,
            f"{times}, processes in turns",
        ),
    ]


def _seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(finish(run()))
