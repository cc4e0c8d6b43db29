"""Timelines of long videos: their overlap with the truth, their speed, and memory that does not grow.

Videos of ten minutes and of one are made of the val videos of ufc10, one after another, the classes taking
turns. A run of experiments/few_videos.yaml, trained on videos of other groups, predicts windows of two
seconds, side by side. Overlap is the mean over the parts of the long video of intersection over union: of the
part, and of all predicted segments of its class that touch it.

Memory is the peak resident memory of the command that prints the segments. It is taken with a small network
(experiments/cnn3d.yaml, one epoch on motion10) and two windows a second, so that what each frame or window
leaves behind would show.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common import (
    CACHE,
    REPOSITORY,
    WORK,
    Result,
    finish,
    in_turns,
    manifest_of,
    motion10,
    real_data,
)
from benchmarks.long_video import Part, join_videos

TARGET = 1.1
SHORT_S, LONG_S = 60, 600
WINDOW, STRIDE, DENSE = "2s", "2s", "500ms"
FOLDER = WORK / "timeline"
COMMAND = str(Path(sys.executable).with_name("vidcls"))
WITH_PEAK = """
import atexit, sys
from pathlib import Path
from benchmarks.common import peak_bytes
from vidcls.__main__ import main

file = Path(sys.argv.pop(1))
atexit.register(lambda: file.write_text(str(peak_bytes())))
main()
"""


class Predicted(NamedTuple):
    """What one command gave and took."""

    content: str
    seconds: float
    peak_bytes: int


def run() -> list[Result]:
    """Measure."""
    data = real_data("ufc10")
    if data is None:
        return [Result("timeline", "not measured", "needs the videos of ufc10", True, "set VIDCLS_SHARED")]
    FOLDER.mkdir(parents=True, exist_ok=True)
    split = data.root / "clean_split.csv"
    _, short = _long_video(split, SHORT_S)
    parts, long = _long_video(split, LONG_S)
    return [*_accuracy(_trained("few_videos", f"data.root={split}"), long, parts), *_memory(short, long)]


def _memory(short: Path, long: Path) -> list[Result]:
    folder = _trained("cnn3d", f"data.root={motion10().root}", "train.epochs=1")
    few, many = (_predicted(folder, path, "--stride", DENSE) for path in (short, long))
    mib = [found.peak_bytes / 2**20 for found in (few, many)]
    ratio = mib[1] / mib[0]
    return [
        Result(
            "timeline: peak memory of ten minutes to that of one",
            f"{ratio:.3f}",
            f"at most {TARGET}",
            ratio <= TARGET,
            f"{mib[0]:.0f} to {mib[1]:.0f} MiB; windows of {WINDOW} every {DENSE}, cnn3d, "
            f"{many.seconds:.0f} s for {LONG_S} s",
        )
    ]


def _accuracy(folder: Path, path: Path, parts: Sequence[Part]) -> list[Result]:
    found = _predicted(folder, path, "--stride", STRIDE, "--json")
    (timeline,) = json.loads(found.content)
    segments, windows = timeline["segments"], f"{len(timeline['windows'])} windows of {WINDOW} every {STRIDE}"
    length_s = parts[-1].end_s
    overlaps = [overlap(part, segments) for part in parts]
    right_s = sum(common_s(part, segment) for part in parts for segment in _of(part.label, segments))
    return [
        Result(
            "timeline: overlap of parts and predicted segments",
            f"{sum(overlaps) / len(overlaps):.3f}",
            "reported whatever it is",
            True,
            f"mean intersection over union of {len(parts)} parts; the class is right in "
            f"{right_s / length_s:.1%} of {length_s:.0f} s; {windows}, few_videos",
        ),
        Result(
            "timeline: speed",
            f"{length_s / found.seconds:.1f} times real time",
            "at least 1 times",
            found.seconds <= length_s,
            f"{found.seconds:.0f} s for {length_s:.0f} s, {windows}",
        ),
    ]


def overlap(part: Part, segments: Sequence[dict[str, Any]]) -> float:
    """Intersection over union of a part and all segments of its class that touch it."""
    touching = [segment for segment in _of(part.label, segments) if common_s(part, segment) > 0]
    inside = sum(common_s(part, segment) for segment in touching)
    outside = sum(segment["end_s"] - segment["start_s"] for segment in touching) - inside
    return float(inside / (part.end_s - part.start_s + outside))


def common_s(part: Part, segment: dict[str, Any]) -> float:
    """Seconds that a part and a segment share."""
    return float(max(0.0, min(part.end_s, segment["end_s"]) - max(part.start_s, segment["start_s"])))


def _of(label: str, segments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [segment for segment in segments if segment["class"] == label]


def _trained(experiment: str, *settings: str) -> Path:
    """Folder of a run of a shipped experiment; a run that was finished before is taken as it is."""
    runs = FOLDER / "runs" / experiment
    if not list(runs.glob("*/*/report")):
        overrides = [*settings, f"runs_dir={runs}", f"store_dir={CACHE}", "tracking.mode=disabled"]
        subprocess.run(
            [COMMAND, "train", f"experiments/{experiment}.yaml", *overrides], cwd=REPOSITORY, check=True
        )
    (folder,) = runs.glob("*/*-s*")
    return folder


def _long_video(split: Path, at_least_s: float) -> tuple[list[Part], Path]:
    """Parts and file of a long video of val videos, made once; the videos are repeated if needed."""
    path = FOLDER / f"{at_least_s}s.mp4"
    known = path.with_suffix(".json")
    if not known.exists():
        manifest = manifest_of(split)
        videos = [(video.path, manifest.classes[video.label]) for video in in_turns(manifest.split("val"))]
        parts = join_videos(chain.from_iterable(repeat(videos)), path, at_least_s=at_least_s)
        known.write_text(json.dumps([asdict(part) for part in parts]))
    return [Part(**part) for part in json.loads(known.read_text())], path


def _predicted(folder: Path, path: Path, *options: str) -> Predicted:
    peak = FOLDER / "peak_bytes.txt"
    words = ["predict", str(folder), str(path), "--window", WINDOW, *options]
    started = time.perf_counter()
    content = subprocess.run(
        [sys.executable, "-c", WITH_PEAK, str(peak), *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return Predicted(content, time.perf_counter() - started, int(peak.read_text()))


if __name__ == "__main__":
    sys.exit(finish(run()))
