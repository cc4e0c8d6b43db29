"""An epoch of `vidcls train` against a bare PyTorch loop over tensors in memory.

The same network, batch size, precision and memory format, no transforms. The bare loop gets its clips as
finished batches (decoded, normalised, laid out), writes nothing and shows nothing; vidcls reads its store,
writes metrics, records W&B offline. They take turns, an epoch each, in one process.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.common import (
    CACHE,
    Quiet,
    Result,
    clips_of,
    finish,
    fresh,
    manifest_of,
    ratio_text,
    spec_of,
    subset,
    videos,
)
from vidcls.models.build import build
from vidcls.models.device import clip_format, pick_device, to_channels_last
from vidcls.models.inputs import input_clip
from vidcls.process.cores import usable_cores
from vidcls.spec.experiment import Spec
from vidcls.training.precision import resolve_precision
from vidcls.training.run_training import Options, train

TARGET = 1.05
NUM_TRAIN, NUM_VAL, NUM_EPOCHS = 96, 10, 9
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class BareLoop:
    """What a person would write: model, AdamW, a `for` over batches that are there already."""

    def __init__(
        self,
        spec: Spec,
        batches: Sequence[tuple[Tensor, Tensor]],
        *,
        num_classes: int,
        compiled: bool = False,
    ) -> None:
        self._device = batches[0][0].device
        self._batches = batches
        self._dtype = _DTYPES.get(resolve_precision(spec.train, self._device))
        self._clip_norm = spec.optim.clip_norm or float("inf")
        self._model = build(spec.model, num_classes=num_classes, clip=input_clip(spec.model, spec.clip)).to(
            self._device
        )
        to_channels_last(self._model)
        if compiled:
            self._model.compile(dynamic=False)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=spec.optim.lr)

    def epoch(self) -> float:
        """Train one epoch; its seconds."""
        self._model.train()
        started = time.perf_counter()
        for clip, labels in self._batches:
            with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype is not None):
                loss = F.cross_entropy(self._model(clip), labels)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._model.parameters(), self._clip_norm)
            self._optimizer.step()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def run() -> list[Result]:
    """Measure."""
    data = videos()
    folder = fresh("epoch")
    csv = subset(data, folder / "data.csv", amounts={"train": NUM_TRAIN, "val": NUM_VAL})
    overrides = [
        *(f"data.root={csv}", f"runs_dir={folder / 'runs'}", f"store_dir={CACHE}"),
        *("clip.frames=10", "clip.size=[112, 112]", "clip.fit=squeeze", "clip.sampling=uniform"),
        *("augment={}", f"train.epochs={NUM_EPOCHS}", "train.batch_size=16", "train.channels_last=true"),
        *("optim.warmup_epochs=1", "tracking.mode=offline"),
    ]
    loaded = spec_of("cnn3d", overrides)
    spec, device = loaded.spec, pick_device()
    torch.set_num_threads(usable_cores())
    bare = BareLoop(spec, batches_of(spec, csv, device), num_classes=manifest_of(csv).num_classes)
    ours_s: list[float] = []
    bare_s: list[float] = []

    def after_epoch(row: dict[str, float]) -> None:
        ours_s.append(NUM_TRAIN / row["clips_per_s"])
        bare_s.append(bare.epoch())

    train(loaded, options=Options(), display=Quiet(after_epoch))
    ratios = [ours / other for ours, other in zip(ours_s[1:], bare_s[1:], strict=True)]
    times = f"{statistics.median(ours_s[1:]):.2f} s to {statistics.median(bare_s[1:]):.2f} s"
    what = f"{NUM_TRAIN} clips of 10 frames 112 px, cnn3d small, batch {spec.train.batch_size}"
    precision = resolve_precision(spec.train, device)
    return [
        Result(
            "epoch against a bare loop",
            ratio_text(ratios),
            f"at most {TARGET}",
            statistics.median(ratios) <= TARGET,
            f"{times}; {data.name}, {what}, {precision}, {device}",
        )
    ]


def batches_of(spec: Spec, root: Path, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """The batches of an epoch, finished and in memory."""
    manifest = manifest_of(root)
    memory_format = clip_format(channels_last=True)
    with clips_of(spec, manifest, device) as clips:
        batches = clips.train_batches(
            manifest.split("train"),
            augment=spec.augment,
            seed=0,
            batch_size=spec.train.batch_size,
            epoch=0,
        )
        return [(batch.clip.contiguous(memory_format=memory_format), batch.labels) for batch in batches]


if __name__ == "__main__":
    sys.exit(finish(run()))
