"""The comparison of an audit by content, of as many videos as UCF101 has (13,320), made-up descriptors.

Groups of five videos share a place, as clips of one source do. Decoding is not measured: it grows with the
number of videos, the comparison with the number of pairs. Half as many show how memory grows. Each is a
process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from benchmarks.common import REPOSITORY, Result, finish, peak_bytes

NUM_VIDEOS, NUM_FRAMES, GROUP = 13_320, 8, 5
TARGET_S, TARGET_MIB = 600, 2_048


def run() -> list[Result]:
    """Measure."""
    (half_s, half_mib, _), (seconds, mib, num_links) = map(_compare, (NUM_VIDEOS // 2, NUM_VIDEOS))
    return [
        Result(
            f"audit by content, {NUM_VIDEOS:,} videos",
            f"{seconds:.0f} s, {mib:.0f} MiB",
            f"at most {TARGET_S} s and {TARGET_MIB} MiB",
            seconds <= TARGET_S and mib <= TARGET_MIB,
            f"half as many: {half_s:.0f} s, {half_mib:.0f} MiB; {num_links:.0f} related pairs of"
            f" {NUM_VIDEOS * (GROUP - 1) // 2} were found",
        )
    ]


def _compare(num: int) -> tuple[float, float, float]:
    command = [sys.executable, "-m", "benchmarks.audit", str(num)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    seconds, mib, num_links = json.loads(done.stdout)
    return seconds, mib, num_links


def compare(num: int) -> tuple[float, float, int]:
    """Seconds, the most memory in MiB, and number of related pairs of `num` videos."""
    import numpy as np

    from vidcls.leaks.descriptors import PARTS
    from vidcls.leaks.relatives import content_links
    from vidcls.leaks.similarity import Comparison

    rng, length = np.random.default_rng(0), sum(PARTS)
    descriptors = []
    for index in range(num):
        if index % GROUP == 0:
            place = rng.standard_normal((2, 1, length), dtype=np.float32)
        frames = place + 0.5 * rng.standard_normal((2, NUM_FRAMES, length), dtype=np.float32)
        descriptors.append(frames.astype(np.float16))
    started = time.perf_counter()
    labels = np.arange(num) // GROUP % 101
    links = list(content_links(Comparison(descriptors, parts=PARTS), labels=labels))
    return time.perf_counter() - started, peak_bytes() / 2**20, len(links)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps(compare(int(sys.argv[1]))))
    else:
        sys.exit(finish(run()))
