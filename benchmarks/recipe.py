"""A whole training against the student project's recipe, on frame folders.

The recipe, as students write it: a data set that opens ten JPEG files a clip with PIL, squeezes them to
112 px, torchvision's ToTensor and Normalize, a DataLoader with two workers, float32, AdamW, validation every
epoch.
The network is the same object on both sides. Counted for vidcls: everything that `train` does, from the data
root to the final evaluation, with the building of its store from nothing. They take turns, an epoch each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.common import (
    WORK,
    Quiet,
    Result,
    finish,
    fresh,
    manifest_of,
    motion10,
    real_data,
    spec_of,
    subset,
)
from benchmarks.common import Dataset as DataRoot
from vidcls.data.manifest import Video
from vidcls.models.build import build
from vidcls.models.device import pick_device
from vidcls.models.inputs import input_clip
from vidcls.process.cores import usable_cores
from vidcls.spec.experiment import Spec
from vidcls.train.run_training import Options, train

TARGET = 2.0
NUM_EPOCHS, BATCH_SIZE, NUM_WORKERS, SIZE_PX = 5, 16, 2, 112
_JPEG_PX = 224  # the students' frames are squeezed to squares


class FrameFolders(Dataset[tuple[Tensor, int]]):
    """The clips `[C, T, H, W]` of some frame folders, read anew each time."""

    def __init__(self, found: Sequence[Video], spec: Spec) -> None:
        self._videos = found
        self._num_frames = spec.clip.frames
        self._transform = transforms.Compose(
            [
                transforms.Resize((SIZE_PX, SIZE_PX)),
                transforms.ToTensor(),
                transforms.Normalize(*input_clip(spec.model, spec.clip).normalisation),
            ]
        )

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        video = self._videos[index]
        files = (video.path / f"frame_{k}.jpg" for k in range(1, self._num_frames + 1))
        frames = [self._transform(Image.open(file).convert("RGB")) for file in files]
        return torch.stack(frames).permute(1, 0, 2, 3), video.label


class Recipe:
    """The training of the student project, an epoch at a time."""

    def __init__(self, spec: Spec, *, root: Path) -> None:
        manifest = manifest_of(root)
        self._device = pick_device()
        common: dict[str, Any] = {"batch_size": BATCH_SIZE, "num_workers": NUM_WORKERS}
        train_set = FrameFolders(manifest.split("train"), spec)
        self._train = DataLoader(train_set, shuffle=True, **common)
        self._val = DataLoader(FrameFolders(manifest.split("val"), spec), **common)
        self._model = build(
            spec.model, num_classes=manifest.num_classes, clip=input_clip(spec.model, spec.clip)
        ).to(self._device)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=spec.optim.lr)

    def epoch(self) -> float:
        """Train and validate; the seconds that it took."""
        started = time.perf_counter()
        self._model.train()
        for clip, labels in self._train:
            self._optimizer.zero_grad()
            loss = F.cross_entropy(self._model(clip.to(self._device)), labels.to(self._device))
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            loss.item()
        self._model.eval()
        correct = 0
        with torch.no_grad():
            for clip, labels in self._val:
                logits = self._model(clip.to(self._device))
                correct += int((logits.argmax(1) == labels.to(self._device)).sum())
        return time.perf_counter() - started


def run() -> list[Result]:
    """Measure."""
    data = real_data("ufc10_frames") or _demo_frames()
    folder = fresh("recipe")
    csv = subset(data, folder / "data.csv", amounts={"train": 60, "val": 20})
    overrides = [
        *(f"data.root={csv}", f"runs_dir={folder / 'runs'}", f"store_dir={folder / 'store'}"),
        *("clip.frames=10", f"clip.size=[{SIZE_PX}, {SIZE_PX}]", "clip.fit=squeeze", "clip.sampling=uniform"),
        *("augment={}", f"train.epochs={NUM_EPOCHS}", f"train.batch_size={BATCH_SIZE}"),
        *("optim.warmup_epochs=1", "tracking.mode=disabled"),
    ]
    loaded = spec_of("cnn3d", overrides)
    torch.set_num_threads(usable_cores())
    started = time.perf_counter()
    recipe = Recipe(loaded.spec, root=csv)
    set_up_s = time.perf_counter() - started
    epochs_s: list[float] = []
    started = time.perf_counter()
    train(loaded, options=Options(), display=Quiet(lambda _row: epochs_s.append(recipe.epoch())))
    recipe_s = set_up_s + sum(epochs_s)
    ours_s = time.perf_counter() - started - sum(epochs_s)
    ratio = recipe_s / ours_s
    what = f"60 train and 20 val, {NUM_EPOCHS} epochs, 10 frames {SIZE_PX} px, cnn3d small"
    return [
        Result(
            "training against the student project's recipe",
            f"{ratio:.2f} times as fast",
            f"at least {TARGET:g} times",
            ratio >= TARGET,
            f"{ours_s:.1f} s to {recipe_s:.1f} s; {data.name}, {what}, {pick_device()}",
        )
    ]


def _demo_frames() -> DataRoot:
    """Frame folders as the course has them, from the demo videos."""
    root = WORK / "motion10_frames"
    data = motion10()
    manifest = manifest_of(subset(data, WORK / "motion10_frames.csv", amounts={"train": 60, "val": 20}))
    for video in manifest.videos:
        folder = root / video.split / manifest.classes[video.label] / video.path.stem
        if not (folder / "frame_10.jpg").exists():
            folder.mkdir(parents=True, exist_ok=True)
            _write_frames(video.path, folder)
    return DataRoot("motion10 as frames", root)


def _write_frames(path: Path, folder: Path) -> None:
    with av.open(str(path)) as container:
        frames = [Image.fromarray(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    for number, index in enumerate(np.linspace(0, len(frames) - 1, 10).astype(int), start=1):
        frames[index].resize((_JPEG_PX, _JPEG_PX)).save(folder / f"frame_{number}.jpg", quality=95)


if __name__ == "__main__":
    sys.exit(finish(run()))
