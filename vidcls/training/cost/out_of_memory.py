"""Explains that a device has too little memory: what the training needs, and what would need less."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vidcls.choices import Precision
from vidcls.errors import VidclsError
from vidcls.models.inputs import input_clip
from vidcls.spec.experiment import Spec


def out_of_memory(
    error: torch.OutOfMemoryError, spec: Spec, *, num_classes: int, precision: Precision, residency: str
) -> VidclsError:
    """Make the error for a training that ran out of memory.

    Args:
        error: Error of torch.
        spec: Spec of the training.
        num_classes: Number of classes K.
        precision: Precision of the training.
        residency: Location of the data: a value of `data.residency`, or `features`.
    """
    batch_size = spec.train.batch_size
    reason = str(error).splitlines()[0]
    tries = ["data.residency=mapped"] if residency == "device" else []
    needs = ""
    if residency != "features":  # else only a head is trained
        needs = _needs(spec, num_classes, precision, batch_size)
    if batch_size > 1:
        half = batch_size // 2
        smaller = _needs(spec, num_classes, precision, half) if needs else ""
        tries.append(f"train.batch_size={half}{f' ({smaller})' if smaller else ''}")
    if precision == "fp32":
        tries.append("train.precision=bf16")
    height, width = input_clip(spec.model, spec.clip).size
    tries += [f"clip.size=[{height // 2},{width // 2}]", f"clip.frames={max(1, spec.clip.frames // 2)}"]
    step = f", whose step needs {needs} and work space" if needs else ""
    return VidclsError(
        f"out of memory with a batch of {batch_size} clips{step}: {reason}",
        hint=f"try {', or '.join(tries[:3])}; this makes another run, and the checkpoints of this run are "
        "kept. If other processes share the device (--per-gpu), the same command beside fewer of them "
        "continues this run",
    )


@contextmanager
def memory_explained(spec: Spec, *, num_classes: int, precision: Precision) -> Iterator[None]:
    """Explain that a device has too little memory for a store, features, or anything before the first step.

    Raises:
        VidclsError: In place of torch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        residency = "device" if spec.data.residency == "auto" else spec.data.residency
        raise out_of_memory(
            error, spec, num_classes=num_classes, precision=precision, residency=residency
        ) from error


def _needs(spec: Spec, num_classes: int, precision: Precision, batch_size: int) -> str:
    """Estimated memory of a step as text; empty if it cannot be estimated, which must not hide the error."""
    from vidcls.training.cost.memory import footprint

    with contextlib.suppress(Exception):
        counted = footprint(spec, num_classes=num_classes, precision=precision, batch_size=batch_size)
        return f"about {counted.training_bytes / 1e9:.2g} GB"
    return ""
