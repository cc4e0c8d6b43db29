"""`vidcls train` as a whole, and its training steps, against a bare script in a process of its own.

The bare script is what a person would write: it loads finished batches (decoded, normalised, laid out) from a
file, trains the same network at the same precision and memory format, validates after each epoch, saves the
best weights, and ends. It writes no metrics, no pictures, no last checkpoint. `vidcls train` reads its store,
which is there already, and records Weights & Biases offline. They take turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import CACHE, REPOSITORY, Result, finish, fresh, ratio_text, spec_of, subset, videos
from vidcls.spec.show import to_yaml
from vidcls.tracking.jsonl import read_rows

STEPS_TARGET, WHOLE_TARGET = 0.75, 0.85
NUM_TRAIN, NUM_VAL = 96, 20
ROUNDS = {"cnn3d": 5, "late_fusion": 1}
EPOCHS = {"cnn3d": 16, "late_fusion": 8}


def run() -> list[Result]:
    """Measure."""
    folder = fresh("whole")
    csv = subset(videos(), folder / "data.csv", amounts={"train": NUM_TRAIN, "val": NUM_VAL})
    return [result for name in ROUNDS for result in _of(name, folder, csv)]


def _of(name: str, folder: Path, csv: Path) -> list[Result]:
    pairs: list[tuple[float, float]] = []
    epochs: list[tuple[float, float]] = []
    overrides = [
        *(f"data.root={csv}", f"store_dir={CACHE}", f"runs_dir={folder / 'runs'}", "train.precision=fp32"),
        *("clip.frames=10", "clip.size=[112, 112]", "clip.fit=squeeze", "clip.sampling=uniform"),
        *("augment={}", f"train.epochs={EPOCHS[name]}", "train.batch_size=16", "tracking.mode=offline"),
    ]
    file = folder / f"{name}.yaml"
    file.write_text(to_yaml(spec_of(name, overrides).spec))
    batches = folder / f"{name}.pt"
    subprocess.run([sys.executable, "-m", "benchmarks.whole", "prepare", file, batches], check=True)
    for seed in range(ROUNDS[name]):
        ours_s = _timed([str(Path(sys.executable).with_name("vidcls")), "train", str(file), f"seed={seed}"])
        bare_s = _timed([sys.executable, "-m", "benchmarks.whole", "bare", str(file), str(batches)])
        pairs.append((ours_s, bare_s))
        (rows,) = (read_rows(path) for path in folder.glob(f"runs/{name}/*-s{seed}/metrics.jsonl"))
        ours = [NUM_TRAIN / float(row["clips_per_s"] or 0) for row in rows if "clips_per_s" in row]
        bare = json.loads(batches.with_suffix(".json").read_text())
        epochs += zip(ours[1:], bare[1:], strict=True)
    steps = _result(
        f"training steps against a bare script, {name}",
        epochs,
        target=STEPS_TARGET,
        detail=f"s for {NUM_TRAIN} clips of 10 frames 112 px, fp32",
    )
    if ROUNDS[name] < 2:
        return [steps]
    what = f"s for {EPOCHS[name]} epochs with their validations, from key to prompt"
    whole = _result(f"vidcls train against a bare script, {name}", pairs, target=WHOLE_TARGET, detail=what)
    return [steps, whole]


def _result(name: str, pairs: Sequence[tuple[float, float]], *, target: float, detail: str) -> Result:
    ratios = [ours / bare for ours, bare in pairs]
    ours_s, bare_s = (statistics.median(side) for side in zip(*pairs, strict=True))
    held = statistics.median(ratios) <= target
    times = f"{ours_s:.2f} to {bare_s:.2f} {detail}"
    return Result(name, ratio_text(ratios), f"at most {target:g}", held, times)


def _timed(command: Sequence[str]) -> float:
    own = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GOMP_"))}
    started = time.perf_counter()
    subprocess.run(command, cwd=REPOSITORY, env=own, check=True, capture_output=True)
    return time.perf_counter() - started


def prepare(file: Path, batches: Path) -> None:
    """Fill the store, and write the finished batches of both splits to one file."""
    import torch

    from benchmarks.common import clips_of, manifest_of
    from vidcls.models.device import clip_format
    from vidcls.spec.load import load_spec

    spec = load_spec(file).spec
    manifest = manifest_of(Path(spec.data.root))
    memory_format = clip_format(channels_last=spec.train.channels_last)
    with clips_of(spec, manifest, torch.device("cpu")) as clips:
        content: dict[str, Any] = {
            split: [
                (batch.clip.contiguous(memory_format=memory_format), batch.labels)
                for batch in clips.eval_batches(manifest.split(split), batch_size=spec.train.batch_size)
            ]
            for split in ("train", "val")
        }
    torch.save({**content, "num_classes": manifest.num_classes}, batches)


def bare(file: Path, batches: Path) -> None:
    """What a person would write; the seconds of each epoch's training are left in a file."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from vidcls.models.build import build
    from vidcls.models.device import to_channels_last
    from vidcls.models.inputs import input_clip
    from vidcls.spec.load import load_spec

    spec = load_spec(file).spec
    content = torch.load(batches, weights_only=True)
    clip = input_clip(spec.model, spec.clip)
    model = build(spec.model, num_classes=content["num_classes"], clip=clip)
    if spec.train.channels_last:
        to_channels_last(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=spec.optim.lr)
    seconds, best = [], -1.0
    for _ in range(spec.train.epochs):
        model.train()
        started = time.perf_counter()
        for inputs, labels in content["train"]:
            loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), spec.optim.clip_norm or float("inf"))
            optimizer.step()
        seconds.append(time.perf_counter() - started)
        model.eval()
        with torch.inference_mode():
            correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in content["val"])
        if correct > best:
            best = correct
            torch.save(model.state_dict(), batches.with_suffix(".best.pt"))
    batches.with_suffix(".json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        {"prepare": prepare, "bare": bare}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(finish(run()))
