"""The suite under other processors, precisions, numbers of threads and loads than those of this machine.

    python -m tests.robustness [SETTING ...] [-- PYTEST ARGUMENTS]

`AVX2+4 threads` are two settings at once. A test that hangs on one of them is a wrong test. Prints a table; an
hour and more for all settings.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORCED = Path(__file__).parent / "support" / "forced"
BUSY = "four busy loops"
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "no vector instructions": {"ATEN_CPU_CAPABILITY": "default"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "oneDNN at AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "fp32": {"FORCED_BF16": "0"},
    "bf16": {"FORCED_BF16": "1"},
    "1 thread": {"OMP_NUM_THREADS": "1", "FORCED_CORES": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2", "FORCED_CORES": "2"},
    "4 threads": {"OMP_NUM_THREADS": "4", "FORCED_CORES": "4"},
    "late looks": {"VIDCLS_TEST_POLL_S": "1"},
    BUSY: {},
}


def _spin() -> None:
    while True:
        pass


@contextmanager
def load(num_loops: int) -> Iterator[None]:
    """Keep the cores busy beside what runs."""
    loops = [multiprocessing.get_context("fork").Process(target=_spin, daemon=True) for _ in range(num_loops)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()


def run(name: str, arguments: list[str]) -> str:
    """Run the suite under one setting or several; a row of the table."""
    parts = name.split("+")
    path = os.pathsep.join(filter(None, (str(FORCED), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path}
    for part in parts:
        environment |= SETTINGS[part]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "3", "--dist", "worksteal", "-m", "not slow"]
    log = ROOT / "build" / "robustness" / (re.sub(r"\W+", "-", name) + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with load(4 if BUSY in parts else 0), log.open("w") as out:
        subprocess.run([*command, *arguments], cwd=ROOT, env=environment, stdout=out, stderr=out, check=False)
    minutes, seconds = divmod(round(time.monotonic() - begun), 60)
    last = log.read_text().strip().rpartition("\n")[2]
    result = re.sub(r" in \d.*|^=+ | =+$", "", last)
    return f"| {name} | {result} | {minutes} min {seconds:02} s |"


def main() -> None:
    """Run what the command line names, or everything."""
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    names, arguments = words[:cut] or list(SETTINGS), words[cut + 1 :]
    if unknown := [part for name in names for part in name.split("+") if part not in SETTINGS]:
        sys.exit(f"no setting {', '.join(unknown)}; there are: {', '.join(SETTINGS)}")
    print("| setting | result | time |\n|---|---|---|", flush=True)
    for name in names:
        print(run(name, arguments), flush=True)


if __name__ == "__main__":
    main()
