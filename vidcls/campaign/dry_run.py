"""Dry run: one batch through all steps of a training, without a run, to find errors within seconds."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from vidcls.checkpoints import CheckpointIdentity, checkpoint_content, read_checkpoint, write_checkpoint
from vidcls.choices import Precision
from vidcls.data.batches.augment.flip import refuse_wrong_flips
from vidcls.data.checks.short_videos import frame_counts, repeats
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.errors import VidclsError
from vidcls.features.reading import Reading
from vidcls.models.build import build
from vidcls.models.compilation import refuse_without_compiler
from vidcls.models.device import pick_device, pin
from vidcls.models.inputs import input_clip
from vidcls.process.cores import usable_cores
from vidcls.spec.experiment import Spec
from vidcls.spec.load import LoadedSpec
from vidcls.training.cost.memory import footprint
from vidcls.training.loop import Data, Loop
from vidcls.training.precision import resolve_precision
from vidcls.training.random_state import seed_everything
from vidcls.training.session import Display

_BUDGET_S = 15.0
_GFLOPS_PER_S = 20.0
"""Computing speed of a slow login node."""


@dataclass(frozen=True)
class Rehearsal:
    """Result of one batch.

    Attributes:
        num_videos: Training videos in the batch.
        num_val: Number of validation videos that were scored.
        num_classes: Number of classes K.
        device: `cpu` or `cuda`.
        precision: Precision of the step.
        loss: Loss of the step.
        step_s: Seconds of the step, without decoding.
        decode_s: Seconds to decode the batch a second time, by all workers together.
        metrics: Metrics that are logged after an epoch.
        base_bytes: Memory of the process before it had a model: Python and its libraries.
    """

    num_videos: int
    num_val: int
    num_classes: int
    device: str
    precision: Precision
    loss: float
    step_s: float
    decode_s: float
    metrics: tuple[str, ...]
    base_bytes: int


def dry_run(loaded: LoadedSpec, *, device: str | None, display: Display) -> list[str]:
    """Run forward, backward and a checkpoint round trip on one training batch, and one validation batch.

    Returns:
        Lines about the steps that were run.

    Raises:
        VidclsError: If any step of a training fails.
    """
    spec, chosen = loaded.spec, pick_device(device)
    with loaded.error_context():
        if spec.train.compile:
            refuse_without_compiler(spec.train.compile, chosen)
        manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
        asked, num = spec.train.batch_size, None
        if chosen.type == "cpu":
            precision = resolve_precision(spec.train, chosen)
            needs = footprint(spec, num_classes=manifest.num_classes, precision=precision)
            num = clips_within(_BUDGET_S, asked, gflops=needs.gflops)
        done = rehearse(spec, manifest=manifest, device=chosen, display=display, batch_size=num)
        counts = frame_counts(manifest.training, data=spec.data, store_dir=Path(spec.store_dir))
    cut = f" (of a batch of {asked}, because this is only a CPU)" if num is not None and num < asked else ""
    short = repeats(counts, input_clip(spec.model, spec.clip))
    return [
        f"data: {_count(manifest)}, {manifest.num_classes} classes",
        *([] if short is None else [f"warning: {short}"]),
        f"step: {done.num_videos} videos{cut}, {done.device}, {done.precision}, loss {done.loss:.3f},"
        f" {done.step_s:.2f} s",
        f"validation: {done.num_val} videos, logits {[done.num_val, done.num_classes]}",
        "checkpoint: written, read back, equal",
    ]


def clips_within(seconds: float, batch_size: int, *, gflops: float) -> int:
    """Number of clips of a batch, at least two if possible, on which a slow CPU trains within some seconds.

    Args:
        seconds: Available time.
        batch_size: Number of clips of the whole batch.
        gflops: Floating-point operations of a step with the whole batch, in 10^9.
    """
    affordable = int(batch_size * seconds * _GFLOPS_PER_S / max(gflops, 1e-9))
    return min(batch_size, max(2, affordable))


def rehearse(
    spec: Spec,
    *,
    manifest: Manifest,
    device: torch.device,
    display: Display,
    batch_size: int | None = None,
) -> Rehearsal:
    """Take one step on the first videos, validate on as many, write a checkpoint and read it back.

    Args:
        spec: Spec of the training.
        manifest: Manifest of its data.
        device: Device that computes.
        display: Display of the progress.
        batch_size: Number of videos; None takes that of the spec.

    Raises:
        VidclsError: If any step of a training fails.
    """
    refuse_wrong_flips(spec.augment, data=spec.data, classes=manifest.classes)
    base_bytes = psutil.Process().memory_info().rss
    seed_everything(spec.seed)
    clip = input_clip(spec.model, spec.clip)
    model = build(spec.model, num_classes=manifest.num_classes, clip=clip)
    threads = usable_cores() if spec.train.threads == "auto" else spec.train.threads
    pin(threads=threads, deterministic=spec.train.deterministic)
    num = batch_size or spec.train.batch_size
    # Everything that trains in any epoch trains in this step, so it needs as much as the last epochs.
    # Compiling takes longer than all else, and a login node may have no compiler.
    update = {"batch_size": num, "unfreeze_every": None, "compile": False}
    train_section = spec.train.model_copy(update=update)
    spec = spec.model_copy(update={"train": train_section})
    train, val = manifest.split("train")[:num], manifest.split("val")[:num]
    # The videos of one batch are streamed: no store is built for a dry run.
    reading = Reading(spec, clip, manifest, model, device)
    with reading.clips((*train, *val), progress=display.stage, stored=False) as clips:
        precision = resolve_precision(spec.train, device)
        loop = Loop(spec, model=model, data=Data(clips, train, val), precision=precision, device=device)
        identity = CheckpointIdentity("", manifest.classes, manifest.hash, clip)
        return _take(loop, identity, precision=precision, base_bytes=base_bytes)


def _take(loop: Loop, identity: CheckpointIdentity, *, precision: Precision, base_bytes: int) -> Rehearsal:
    started = time.perf_counter()
    loop.one_step()
    step_s = time.perf_counter() - started - loop.speed.waiting_s
    row = loop.close_epoch()
    # Measured a second time, because the first time included the start of the workers.
    asked = time.perf_counter()
    for _ in loop.data.clips.eval_batches(loop.data.train, batch_size=len(loop.data.train)):
        pass
    decode_s = time.perf_counter() - asked
    _round_trip(loop, identity)
    return Rehearsal(
        num_videos=len(loop.data.train),
        num_val=len(loop.data.val),
        num_classes=len(identity.classes),
        device=loop.device.type,
        precision=precision,
        loss=row["train/loss"],
        step_s=step_s,
        decode_s=decode_s,
        metrics=tuple(row),
        base_bytes=base_bytes,
    )


def _count(manifest: Manifest) -> str:
    return ", ".join(f"{len(manifest.split(split))} {split}" for split in ("train", "val"))


def _round_trip(loop: Loop, identity: CheckpointIdentity) -> None:
    """Write a checkpoint, read it back, and restore its state."""
    state = loop.state_dict()
    model = state.pop("model")
    content = checkpoint_content(identity, loop.spec, model, epoch=0, step=1, training={"loop": state})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"
        write_checkpoint(path, content, kept="nothing is lost")
        back = read_checkpoint(path)
    for name, value in model.items():
        if not torch.equal(value.cpu(), back["model"][name]):
            raise VidclsError(f"checkpoint: {name} has another value after writing and reading")
    loop.load_state_dict({"model": back["model"], **back["training"]["loop"]})
