"""One batch through everything that a training does, without a run: shape and type errors show in seconds."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from vidcls.campaign.memory import footprint
from vidcls.checkpoints import CheckpointIdentity, checkpoint_content, read_checkpoint, write_checkpoint
from vidcls.data.batches.augment import flip_map
from vidcls.data.batches.open_clips import open_clips
from vidcls.data.checks.short_videos import frame_counts, repeats
from vidcls.data.decoding.workers import usable_cores
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.errors import VidclsError
from vidcls.models.build import build
from vidcls.models.device import pick_device, pin
from vidcls.models.inputs import input_clip
from vidcls.spec.experiment import Spec
from vidcls.spec.load import LoadedSpec
from vidcls.spec.sections import Precision
from vidcls.train.loop import Data, Loop
from vidcls.train.precision import resolve_precision
from vidcls.train.random_state import seed_everything
from vidcls.train.session import Display

_BUDGET_S = 15.0
_GFLOPS_PER_S = 20.0
"""What a slow login node computes."""


@dataclass(frozen=True)
class Rehearsal:
    """What one batch came to.

    Attributes:
        num_videos: Training videos in the batch.
        num_val: Validation videos that were scored.
        num_classes: K.
        device: `cpu` or `cuda`.
        precision: Precision of the step.
        loss: Loss of the step.
        step_s: Seconds of the step, decoding aside.
        decode_s: Seconds to decode the batch once more, by all workers together.
        metrics: What is logged after an epoch.
        base_bytes: What the process held before it had a model: Python and its libraries.
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
    """Forward, backward, checkpoint round trip on one training batch, and one validation batch.

    Returns:
        Lines that say what was done.

    Raises:
        VidclsError: If anything a training would do fails.
    """
    spec, chosen = loaded.spec, pick_device(device)
    with loaded.error_context():
        manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
        asked, num = spec.train.batch_size, None
        if chosen.type == "cpu":
            precision = resolve_precision(spec.train, chosen)
            needs = footprint(spec, num_classes=manifest.num_classes, precision=precision)
            num = clips_within(_BUDGET_S, asked, gflops=needs.gflops)
        done = rehearse(spec, manifest=manifest, device=chosen, display=display, batch_size=num)
        counts = frame_counts(manifest.training, data=spec.data, store_dir=Path(spec.store_dir))
    cut = f" (of a batch of {asked}: this is only a CPU)" if num is not None and num < asked else ""
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
    """Clips of a batch, two or more if it has them, that a slow CPU trains on within some seconds.

    Args:
        seconds: The time there is.
        batch_size: Clips of the whole batch.
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
        spec: What would be trained.
        manifest: Data of the spec.
        device: Where it computes.
        display: Told what is done.
        batch_size: Videos; as the spec says if None.

    Raises:
        VidclsError: If anything a training would do fails.
    """
    flip_map(spec.augment, flip_labels=spec.data.flip_labels, classes=manifest.classes)
    base_bytes = psutil.Process().memory_info().rss
    seed_everything(spec.seed)
    clip = input_clip(spec.model, spec.clip)
    model = build(spec.model, num_classes=manifest.num_classes, clip=clip)
    threads = usable_cores() if spec.train.threads == "auto" else spec.train.threads
    pin(threads=threads, deterministic=spec.train.deterministic)
    num = batch_size or spec.train.batch_size
    # All that trains in any epoch trains in this step: it shows what the last epochs take.
    train_section = spec.train.model_copy(update={"batch_size": num, "unfreeze_every": None})
    spec = spec.model_copy(update={"train": train_section})
    train, val = manifest.split("train")[:num], manifest.split("val")[:num]
    # A batch's worth of videos, decoded as they come: no store is built for a trial.
    with open_clips(
        (*train, *val),
        data=spec.data.model_copy(update={"residency": "streamed"}),
        clip=clip,
        classes=manifest.classes,
        store_dir=Path(spec.store_dir),
        device=device,
        progress=display.stage,
    ) as clips:
        precision = resolve_precision(spec.train, device)
        loop = Loop(spec, model=model, data=Data(clips, train, val), precision=precision, device=device)
        identity = CheckpointIdentity("", manifest.classes, manifest.hash, clip)
        return _take(loop, identity, precision=precision, base_bytes=base_bytes)


def _take(loop: Loop, identity: CheckpointIdentity, *, precision: Precision, base_bytes: int) -> Rehearsal:
    started = time.perf_counter()
    loop.one_step()
    step_s = time.perf_counter() - started - loop.speed.waiting_s
    row = loop.close_epoch()
    # Again, because the first time the workers had to start.
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
    """Write a checkpoint, read it back, take it up."""
    state = loop.state_dict()
    model = state.pop("model")
    content = checkpoint_content(identity, loop.spec, model, epoch=0, step=1, training={"loop": state})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"
        write_checkpoint(path, content, kept="nothing is lost")
        back = read_checkpoint(path)
    for name, value in model.items():
        if not torch.equal(value.cpu(), back["model"][name]):
            raise VidclsError(f"checkpoint: {name} reads back differently")
    loop.load_state_dict({"model": back["model"], **back["training"]["loop"]})
