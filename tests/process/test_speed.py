"""Memory that a process keeps: counted in pages that the kernel had to clear again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")

# Takes and fills 40 MB twenty times, as a training step does; prints the pages that were cleared, here or in a child.
FAULTS = """
import resource
for _ in range(20):
    bytearray(b"x") * 40_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""
HERE = f"from vidcls.process.speed import compute_fast; compute_fast(){FAULTS}"
IN_A_CHILD = f"""
import subprocess, sys
from vidcls.process.speed import compute_fast
compute_fast()
subprocess.run([sys.executable, "-c", {FAULTS!r}], check=True)
"""


def faults(code: str, **env: str) -> int:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", code], env=kept | env, capture_output=True, check=True)
    return int(done.stdout)


@needs_glibc
@pytest.mark.parametrize("code", [HERE, IN_A_CHILD], ids=["here", "in a child"])
def test_large_blocks_are_kept_unless_that_is_switched_off(code: str) -> None:
    kept, fresh = faults(code), faults(code, VIDCLS_KEEP_MEMORY="0")
    assert fresh > 20 * 9_000  # each block of 40 MB has 9,765 pages
    assert kept < fresh / 4


@needs_glibc
def test_what_the_user_has_set_stays() -> None:
    assert faults(HERE, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536") > 20 * 9_000
