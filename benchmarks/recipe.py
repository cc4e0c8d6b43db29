"""A whole training against the student project's recipe, on frame folders.

The recipe, as students write it: a data set that opens ten JPEG files a clip with PIL, squeezes them to
112 px, torchvision's ToTensor and Normalize, a DataLoader with two workers, float32, AdamW, validation every
epoch.
The network is the same on both sides. Both are processes of their own, from key to prompt. Counted for
vidcls: everything that `vidcls train` does, from the data root to the final evaluation, with the building of
its store from nothing; for the recipe, training and validation alone, nothing is saved.
"""

from __future__ import annotations

import subprocess
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
    REPOSITORY,
    WORK,
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
from vidcls.spec.experiment import Spec
from vidcls.spec.load import load_spec
from vidcls.spec.show import to_yaml

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
    """The training of the student project."""

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
        """Train and validate; the accuracy."""
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
        return correct / len(self._val.dataset)  # type: ignore[arg-type]


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
    file = folder / "cnn3d.yaml"
    file.write_text(to_yaml(spec_of("cnn3d", overrides).spec))
    ours_s = _timed([str(Path(sys.executable).with_name("vidcls")), "train", str(file)])
    recipe_s = _timed([sys.executable, "-m", "benchmarks.recipe", str(file)])
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


def follow(file: Path) -> None:
    """Train as the recipe does."""
    spec = load_spec(file).spec
    recipe = Recipe(spec, root=Path(spec.data.root))
    for _ in range(NUM_EPOCHS):
        print(f"{recipe.epoch():.1%}", flush=True)


def _timed(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return time.perf_counter() - started


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
    if len(sys.argv) == 2:
        follow(Path(sys.argv[1]))
        sys.exit()
    sys.exit(finish(run()))
