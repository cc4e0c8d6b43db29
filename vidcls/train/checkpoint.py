"""Checkpoints hold all that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import errno
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidcls.evaluate.restore import FORMAT
from vidcls.files import atomic_file, disk_full, is_disk_full
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip
from vidcls.spec.show import plain


@dataclass(frozen=True)
class Identity:
    """What a checkpoint says of itself besides its weights."""

    fingerprint: str
    classes: tuple[str, ...]
    manifest_hash: str
    clip: Clip

    def content(self, spec: Spec, model: dict[str, Any], *, epoch: int, step: int) -> dict[str, Any]:
        """A checkpoint of weights, which describes itself.

        Args:
            spec: What is trained.
            model: The weights.
            epoch: Finished epochs.
            step: Finished steps of the epoch that is not.
        """
        return {
            "format": FORMAT,
            "spec": plain(spec),
            "fingerprint": self.fingerprint,
            "classes": list(self.classes),
            "manifest_hash": self.manifest_hash,
            "clip": plain(self.clip),
            "epoch": epoch,
            "step": step,
            "model": model,
        }


def write_checkpoint(path: Path, content: dict[str, Any], *, kept: str) -> None:
    """Write a checkpoint whole or not at all: aside, synced, renamed.

    Args:
        path: The file.
        content: Tensors and plain values only, so that it loads with `weights_only=True`.
        kept: What is safe if this fails, for the message.

    Raises:
        VidclsError: If the disk is full; the file that had the name is untouched.
    """
    try:
        _need_space(path, content)
        with atomic_file(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        if is_disk_full(error):
            raise disk_full(path, kept=kept, cause=error) from error
        raise


def _need_space(path: Path, content: dict[str, Any]) -> None:
    """Refuse before a byte is written: what is left of a disk that fills up stays for metrics and state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < num_bytes(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def num_bytes(content: Any) -> int:
    """Bytes of all tensors in nested dicts, lists and tuples."""
    if isinstance(content, torch.Tensor):
        return content.numel() * content.element_size()
    if isinstance(content, dict):
        content = list(content.values())
    return sum(map(num_bytes, content)) if isinstance(content, list | tuple) else 0


def rng_state(device: torch.device) -> dict[str, Any]:
    """The state of every random number generator that training on a device could draw from."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  (libraries may use it)
    version, words, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
        "python": [version, list(words), gauss_next],
    }


def set_rng_state(state: dict[str, Any], device: torch.device) -> None:
    """Put every random number generator back where `rng_state` found it."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))


def seed_everything(seed: int) -> None:
    """Seed every random number generator that training could draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
