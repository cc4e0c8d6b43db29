"""One batch through everything that a training does, without a run: shape and type errors show in seconds."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from vidcls.data.batches import open_clips
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.data.transforms import flip_map
from vidcls.data.workers import usable_cores
from vidcls.errors import VidclsError
from vidcls.evaluate.restore import FORMAT, read_checkpoint
from vidcls.models.build import build
from vidcls.models.device import pick_device, pin
from vidcls.spec.load import LoadedSpec
from vidcls.spec.show import plain
from vidcls.train.checkpoint import seed_everything, write_checkpoint
from vidcls.train.loop import Data, Loop
from vidcls.train.precision import resolve_precision
from vidcls.train.session import Display


def dry_run(loaded: LoadedSpec, *, device: str | None, display: Display) -> list[str]:
    """Forward, backward, checkpoint round trip on one training batch, and one validation batch.

    Returns:
        Lines that say what was done.

    Raises:
        VidclsError: If anything a training would do fails.
    """
    spec = loaded.spec
    place = pick_device(device)
    with loaded.placed():
        manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
        flip_map(spec.augment, flip_labels=spec.data.flip_labels, classes=manifest.classes)
        seed_everything(spec.seed)
        model = build(spec.model, num_classes=manifest.num_classes, clip=spec.clip)
    threads = usable_cores() if spec.train.threads == "auto" else spec.train.threads
    pin(threads=threads, deterministic=spec.train.deterministic)
    # A batch's worth of videos, decoded as they come: no store is built for a trial.
    num = spec.train.batch_size
    train, val = manifest.split("train")[:num], manifest.split("val")[:num]
    data_section = spec.data.model_copy(update={"residency": "streamed"})
    with open_clips(
        (*train, *val),
        data=data_section,
        clip=spec.clip,
        classes=manifest.classes,
        store_dir=Path(spec.store_dir),
        device=place,
        progress=display.stage,
    ) as clips:
        precision = resolve_precision(spec.train, place)
        data = Data(clips, train, val)
        loop = Loop(spec, model=model, data=data, precision=precision, device=place)
        started = time.perf_counter()
        loop.one_step()
        seconds = time.perf_counter() - started
        scores = loop.validate()
        _round_trip(loop)
    return [
        f"data: {_count(manifest)}, {manifest.num_classes} classes",
        f"step: {len(train)} videos, {place.type}, {precision}, loss {loop.recent_loss:.3f}, {seconds:.2f} s",
        f"validation: {len(scores.ids)} videos, logits {list(scores.logits.shape)}",
        "checkpoint: written, read back, equal",
    ]


def _count(manifest: Manifest) -> str:
    return ", ".join(f"{len(manifest.split(split))} {split}" for split in ("train", "val"))


def _round_trip(loop: Loop) -> None:
    state = loop.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"
        write_checkpoint(path, {"format": FORMAT, "spec": plain(loop.spec), **state}, kept="nothing is lost")
        back = read_checkpoint(path)
    for name, value in state["model"].items():
        if not torch.equal(value.cpu(), back["model"][name]):
            raise VidclsError(f"checkpoint: {name} reads back differently")
    loop.load_state_dict(back)
