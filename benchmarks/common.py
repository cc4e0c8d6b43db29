"""What the benchmarks share: the form of a result, the data, places to work in, specs."""

from __future__ import annotations

import os
import re
import shutil
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vidcls.choices import SPLITS, Split
from vidcls.data.demo import make_demo
from vidcls.data.manifest import Manifest, Video, load_manifest
from vidcls.spec.data import DataSection
from vidcls.spec.load import LoadedSpec, load_spec
from vidcls.spec.show import to_yaml
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions

if TYPE_CHECKING:
    import torch

    from vidcls.data.batches.clips import Clips
    from vidcls.spec.experiment import Spec

REPOSITORY = Path(__file__).resolve().parents[1]
WORK = REPOSITORY / "build" / "bench"
CACHE = WORK / "cache"
FLIP_LABELS = {"RedLeft": "RedRight", "RedRight": "RedLeft", "BlueLeft": "BlueRight", "BlueRight": "BlueLeft"}


@dataclass(frozen=True)
class Result:
    """One claim as it was measured.

    Attributes:
        name: Of the claim.
        measured: The figure with its unit.
        target: What was promised.
        held: Whether the promise was kept.
        detail: What the figure is made of; data, sizes, device.
    """

    name: str
    measured: str
    target: str
    held: bool
    detail: str

    def __str__(self) -> str:
        verdict = "held" if self.held else "MISSED"
        return f"{self.name}: {self.measured} ({self.target}: {verdict}) {self.detail}"


@dataclass(frozen=True)
class Dataset:
    """A data root and what to call it."""

    name: str
    root: Path

    @property
    def is_demo(self) -> bool:
        """Whether it is the demo set, made here."""
        return self.name == "motion10"


def peak_bytes() -> int:
    """The most memory that this process has held since its program began, of Linux.

    `ru_maxrss` does not tell: a process begins with that of the one which started it.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 2**10


def finish(results: Sequence[Result]) -> int:
    """Print results; the exit code of a module that is run on its own."""
    for result in results:
        print(result, flush=True)
    return 0 if all(result.held for result in results) else 1


def motion10() -> Dataset:
    """The demo data, made on the first call."""
    root = WORK / "motion10"
    make_demo(root)
    return Dataset("motion10", root)


def real_data(name: str) -> Dataset | None:
    """A folder of real data in VIDCLS_SHARED, or in `shared` beside the repository."""
    root = Path(os.environ.get("VIDCLS_SHARED", REPOSITORY.parent / "shared")) / name
    return Dataset(name, root) if root.is_dir() else None


def videos() -> Dataset:
    """Video files: the real ones where they are, else the demo data."""
    return real_data("ufc10") or motion10()


def fresh(name: str) -> Path:
    """An empty folder to work in."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def manifest_of(root: Path) -> Manifest:
    """The manifest of a data root, its digests cached."""
    return load_manifest(DataSection(root=str(root)), cache_dir=CACHE)


def subset(data: Dataset, file: Path, *, amounts: dict[Split, int]) -> Path:
    """Write a CSV manifest of some videos of each split, the classes taking turns."""
    manifest = manifest_of(data.root)
    chosen = tuple(chain.from_iterable(in_turns(manifest.split(s))[: amounts.get(s, 0)] for s in SPLITS))
    for split, amount in amounts.items():
        found = sum(video.split == split for video in chosen)
        if found < amount:
            raise SystemExit(f"{data.root}: {found} videos in {split}, {amount} wanted")
    replace(manifest, videos=chosen).write_csv(file)
    return file


def in_turns(found: Sequence[Video]) -> list[Video]:
    """Videos in an order in which the classes take turns."""
    by_class: dict[int, list[Video]] = defaultdict(list)
    for video in found:
        by_class[video.label].append(video)
    turns = zip_longest(*by_class.values())
    return [video for turn in turns for video in turn if video is not None]


def spec_of(experiment: str, overrides: Sequence[str]) -> LoadedSpec:
    """A shipped experiment with overrides."""
    return load_spec(REPOSITORY / "experiments" / f"{experiment}.yaml", overrides)


def clips_of(spec: Spec, manifest: Manifest, device: torch.device) -> Clips:
    """The clips of a spec, all of whose videos are readable."""
    from vidcls.data.batches.open_clips import open_clips
    from vidcls.models.inputs import input_clip

    return open_clips(
        manifest.videos,
        data=spec.data,
        clip=input_clip(spec.model, spec.clip),
        classes=manifest.classes,
        store_dir=Path(spec.store_dir),
        device=device,
    )


def empty_sweep(
    folder: Path,
    *,
    method: str,
    parameters: Mapping[str, Any],
    goal: str = "maximize",
    options: SweepOptions | None = None,
    **keys: Any,
) -> SweepFolder:
    """A sweep on which nobody works yet, as `vidcls sweep launch` leaves it, its parameters not checked."""
    sweep = SweepFolder(folder)
    content = {
        "method": method,
        "metric": {"name": "val/top1", "goal": goal},
        "parameters": dict(parameters),
        "command": ["vidcls", "train", "experiments/late_fusion.yaml", "${args}"],
        **keys,
    }
    sweep.sweep_file.write_text(yaml.safe_dump(content, sort_keys=False))
    sweep.base_file.write_text(to_yaml(spec_of("late_fusion", []).spec))
    sweep.freeze(options or SweepOptions())
    return sweep


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def ratio_text(ratios: Sequence[float]) -> str:
    """The median of paired ratios with their quartiles."""
    low, middle, high = quartiles(ratios)
    return f"{middle:.3f} ({low:.3f} to {high:.3f}, {len(ratios)} pairs)"


class Quiet:
    """A display of a training that shows nothing but calls a function after each epoch."""

    def __init__(self, after_epoch: Callable[[dict[str, float]], None]) -> None:
        self._after_epoch = after_epoch

    def say(self, text: str) -> None:
        """Nothing."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Nothing."""

    def step(self, loop: object) -> None:
        """Nothing."""

    def epoch(self, loop: object, row: dict[str, float], *, is_best: bool) -> None:  # noqa: ARG002
        """The peer's turn."""
        self._after_epoch(row)
