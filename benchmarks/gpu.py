"""Everything that only a GPU can show, in one command of a few minutes: `make gpu`.

It runs the tests marked `gpu`; trains each strategy, kills and resumes it, and compares the weights; measures
the speed of each residency and against a bare compiled loop, the memory against its estimate, the losses in
bf16 and fp16 against float32, and two trainings side by side. It ends with a JSON file and a page of text
that name the card, its driver and the versions. Without a GPU, and with --short, it does the same in small on
the CPU, and says so.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import REPOSITORY, Quiet, Result, manifest_of, spec_of
from vidcls.campaign.selftest import selftest
from vidcls.data.demo import Amount, make_demo_of
from vidcls.models.device import pick_device
from vidcls.process.cores import processor
from vidcls.spec.load import LoadedSpec
from vidcls.spec.model import SHIPPED_KINDS
from vidcls.tracking.jsonl import read_rows
from vidcls.training.cost.memory import footprint
from vidcls.training.precision import resolve_precision
from vidcls.training.run_training import Options, train

REPORTED = "reported whatever it is"
MEMORY_FACTOR, LOSS_TOLERANCE = 1.5, 0.15


@dataclass(frozen=True)
class Size:
    """How much is done: enough to keep a GPU busy, or as little as shows that it works."""

    kinds: tuple[str, ...]
    strategies: tuple[str, ...]
    frames: int
    size: tuple[int, int]
    batch: int
    epochs: int
    compiled: bool


WHOLE = Size(
    SHIPPED_KINDS,
    ("cnn3d", "late_fusion"),
    frames=16,
    size=(112, 112),
    batch=16,
    epochs=4,
    compiled=True,
)
SHORT = Size(("early_fusion",), ("early_fusion",), frames=4, size=(24, 32), batch=8, epochs=2, compiled=False)


@dataclass(frozen=True)
class Bench:
    """Where things are and how much is done."""

    folder: Path
    device: torch.device
    size: Size

    def spec(self, experiment: str, name: str, *overrides: str) -> LoadedSpec:
        """A shipped experiment on the demo data, in a folder of runs of its own."""
        height, width = self.size.size
        settings = (
            *(f"data.root={self.folder / 'data'}", f"runs_dir={self.folder / 'runs' / name}"),
            *(f"store_dir={self.folder / 'store'}", "tracking.mode=disabled", "augment={}"),
            *(f"clip.frames={self.size.frames}", f"clip.size=[{height},{width}]", "clip.fit=squeeze"),
            *(f"train.batch_size={self.size.batch}", f"train.epochs={self.size.epochs}"),
        )
        return spec_of(experiment, (*settings, *overrides))

    def train(self, experiment: str, name: str, *overrides: str) -> list[dict[str, Any]]:
        """Train; the rows of its epochs."""
        loaded = self.spec(experiment, name, *overrides)
        outcome = train(loaded, options=Options(device=str(self.device)), display=Quiet(lambda _row: None))
        return [row for row in read_rows(outcome.run.metrics_file) if row["kind"] == "epoch"]


def gpu_tests(_bench: Bench) -> Iterator[Result]:
    """The tests that need a GPU."""
    words = [sys.executable, "-m", "pytest", "-q", "-rs", "-m", "gpu", "tests/gpu/test_cuda.py"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    summary = done.stdout.strip().splitlines()[-1]
    reasons = sorted(set(re.findall(r"SKIPPED .*?: (needs .*)", done.stdout)))
    yield Result("gpu tests", summary, "none fails", done.returncode == 0, "; ".join(reasons))


def resumes(bench: Bench) -> Iterator[Result]:
    """Each strategy, trained, killed, resumed and compared."""
    for one in selftest(say=lambda _text: None, kinds=bench.size.kinds):
        measured = "the same weights" if one.same else "other weights"
        what = f"{one.clips_per_s:.0f} clips/s, {one.precision}, {one.device}"
        yield Result(f"{one.name}, killed and resumed", measured, "bit for bit", one.same, what)


def speeds(bench: Bench) -> Iterator[Result]:
    """Clips per second of each residency, and the time that the host waits for its next batch."""
    for strategy in bench.size.strategies:
        found = {}
        for residency in ("device", "mapped"):
            row = bench.train(strategy, f"{strategy}-{residency}", f"data.residency={residency}")[-1]
            found[residency] = row["clips_per_s"]
            seconds = _num_train(bench) / row["clips_per_s"]
            share = row["waiting_s"] / seconds
            yield Result(
                f"{strategy}, {residency}",
                f"{row['clips_per_s']:.0f} clips/s",
                REPORTED,
                True,
                f"{share:.0%} of the time the host waited for the next batch",
            )
        ratio = found["mapped"] / found["device"]
        yield Result(f"{strategy}, mapped against device", f"{ratio:.2f}", REPORTED, True, "of its clips/s")


def against_bare(bench: Bench) -> Iterator[Result]:
    """Clips per second against a bare loop, compiled too where that is measured."""
    from benchmarks.epoch import BareLoop, batches_of

    for strategy in bench.size.strategies:
        settings = ["train.compile=true"] if bench.size.compiled else []
        loaded = bench.spec(strategy, f"{strategy}-bare", *settings)
        row = bench.train(strategy, f"{strategy}-bare", *settings)[-1]
        root = bench.folder / "data"
        batches = batches_of(loaded.spec, root, bench.device)
        num_classes = manifest_of(root).num_classes
        bare = BareLoop(loaded.spec, batches, num_classes=num_classes, compiled=bench.size.compiled)
        seconds = [bare.epoch() for _ in range(bench.size.epochs)][1:]
        ours = _num_train(bench) / row["clips_per_s"]
        ratio = ours / statistics.median(seconds)
        how = "compiled" if bench.size.compiled else "not compiled"
        yield Result(f"{strategy}, epoch against a bare loop", f"{ratio:.2f}", REPORTED, True, how)


def memory(bench: Bench) -> Iterator[Result]:
    """Peak memory on the device against the estimate."""
    for strategy in bench.size.strategies:
        loaded = bench.spec(strategy, f"{strategy}-memory")
        spec = loaded.spec
        precision = resolve_precision(spec.train, bench.device)
        estimate = footprint(spec, num_classes=10, precision=precision).training_bytes
        if bench.device.type != "cuda":
            what = "a CPU does not tell its peak; tests compare the estimate with torch's allocator"
            yield Result(f"{strategy}, memory", f"{estimate / 1e6:.0f} MB estimated", REPORTED, True, what)
            continue
        torch.cuda.reset_peak_memory_stats(bench.device)
        bench.train(strategy, f"{strategy}-memory", "data.residency=mapped")
        peak = torch.cuda.max_memory_allocated(bench.device)
        yield Result(
            f"{strategy}, memory",
            f"{peak / estimate:.2f} of the estimate",
            f"at most {MEMORY_FACTOR}",
            peak <= MEMORY_FACTOR * estimate,
            f"{peak / 1e6:.0f} to {estimate / 1e6:.0f} MB, {precision}, work space of cuDNN included",
        )


def losses(bench: Bench) -> Iterator[Result]:
    """Losses in bf16 and fp16 against those in float32."""
    strategy = bench.size.strategies[0]
    by_precision = {
        precision: [
            row["train/loss"]
            for row in bench.train(strategy, f"{strategy}-{precision}", f"train.precision={precision}")
        ]
        for precision in ("fp32", "bf16", "fp16")
    }
    for precision in ("bf16", "fp16"):
        pairs = zip(by_precision[precision], by_precision["fp32"], strict=True)
        worst = max(abs(one - full) / full for one, full in pairs)
        yield Result(
            f"{strategy}, loss in {precision} against fp32",
            f"{worst:.1%} apart",
            f"at most {LOSS_TOLERANCE:.0%} in each epoch",
            worst <= LOSS_TOLERANCE,
            f"{len(by_precision['fp32'])} epochs",
        )


def side_by_side(bench: Bench) -> Iterator[Result]:
    """Two trainings on one device at the same time."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        both = sum(pool.map(_clips_per_s, [bench] * 2, [1, 2]))
        (alone,) = pool.map(_clips_per_s, [bench], [3])
    gain = both / alone
    what = f"{both:.0f} clips/s together, {alone:.0f} alone; the last epoch of each"
    yield Result("two trainings side by side", f"{gain:.2f} times one", REPORTED, True, what)


def _clips_per_s(bench: Bench, seed: int) -> float:
    rows = bench.train(bench.size.strategies[0], f"side-{seed}", f"seed={seed}", "train.threads=1")
    return float(rows[-1]["clips_per_s"])


PARTS: Sequence[Callable[[Bench], Iterator[Result]]] = (
    gpu_tests,
    resumes,
    speeds,
    against_bare,
    memory,
    losses,
    side_by_side,
)


def _num_train(bench: Bench) -> int:
    return len(manifest_of(bench.folder / "data").split("train"))


def machine(device: torch.device) -> dict[str, Any]:
    """Card, driver and versions."""
    found: dict[str, Any] = {
        "device": device.type,
        "card": processor(),
        "driver": None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "python": platform.python_version(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        driver = Path("/sys/module/nvidia/version")
        found |= {
            "card": properties.name,
            "memory_bytes": properties.total_memory,
            "driver": driver.read_text().strip() if driver.is_file() else None,
        }
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run all parts, write the JSON and the page; 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--short", action="store_true", help="as little as shows that it works")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "gpu")
    asked = parser.parse_args(words)
    device = pick_device()
    size = SHORT if asked.short or device.type != "cuda" else WHOLE
    folder: Path = asked.out.resolve()
    bench = Bench(folder, device, size)
    shutil.rmtree(folder / "runs", ignore_errors=True)  # a finished run would not be trained again
    make_demo_of(Amount(train=4, val=2, test=1, clips=2), folder / "data", seed=0)
    here = machine(device)
    results = [result for part in PARTS for result in _shown(part(bench))]
    date = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"date": date, "short": size is SHORT, **here, "results": [vars(one) for one in results]}
    (folder / "gpu.json").write_text(json.dumps(content, indent=1) + "\n")
    page = _page(here, results, date=date, is_short=size is SHORT)
    (folder / "gpu.txt").write_text(page)
    print(page, flush=True)
    print(f"{folder / 'gpu.json'}\n{folder / 'gpu.txt'}", flush=True)
    return 0 if all(result.held for result in results) else 1


def _shown(results: Iterator[Result]) -> Iterator[Result]:
    for result in results:
        print(result, file=sys.stderr, flush=True)
        yield result


def _page(here: dict[str, Any], results: Sequence[Result], *, date: str, is_short: bool) -> str:
    where = "a GPU" if here["device"] == "cuda" else "the CPU: this says nothing about a GPU"
    how = "the short form, whose figures mean little" if is_short else "the whole form"
    versions = ", ".join(
        f"{name} {here[name]}" for name in ("driver", "torch", "cuda", "cudnn") if here[name]
    )
    lines = [f"vidcls on {where}; {how}", f"{here['card']}; {versions}; {date}", ""]
    width = max(len(result.name) for result in results)
    for result in results:
        mark = " " if result.held else "!"
        lines.append(f"{mark} {result.name:{width}}  {result.measured}  ({result.target}) {result.detail}")
    missed = sum(not result.held for result in results)
    return "\n".join([*lines, "", f"{missed} of {len(results)} promises not kept", ""])


if __name__ == "__main__":
    sys.exit(main())
