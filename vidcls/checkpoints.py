"""Checkpoint file; only this module knows its format.

    format spec fingerprint classes manifest_hash clip epoch step    description of the checkpoint
    model                                                            weights
    training                                                         in `last.pt`: further state for a resume

It holds only tensors and plain values, so that it loads with `weights_only=True`, which runs no code.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from vidcls.errors import VidclsError
from vidcls.files import atomic_file, disk_full, is_disk_full
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip
from vidcls.spec.show import plain

_FORMAT = 3


@dataclass(frozen=True)
class CheckpointIdentity:
    """Identity of a run in its checkpoints.

    Attributes:
        fingerprint: Fingerprint of the spec and its data.
        classes: Class names; the index is the label.
        manifest_hash: Hash of the manifest of the data.
        clip: Clip section, which describes the input of the model.
    """

    fingerprint: str
    classes: tuple[str, ...]
    manifest_hash: str
    clip: Clip


@dataclass(frozen=True)
class StoredModel:
    """Description of a model in a checkpoint, with weights that are not loaded into a model yet.

    Attributes:
        spec: Spec of the training.
        clip: Clip section, which describes the input of the model.
        classes: Class names; the index is the label.
        fingerprint: Fingerprint of the spec and its data.
        manifest_hash: Hash of the manifest of the training data.
        epoch: Number of finished epochs.
        weights: State dict, on the CPU.
    """

    spec: Spec
    clip: Clip
    classes: tuple[str, ...]
    fingerprint: str
    manifest_hash: str
    epoch: int
    weights: dict[str, Any]


def checkpoint_content(
    identity: CheckpointIdentity,
    spec: Spec,
    weights: dict[str, Any],
    *,
    epoch: int,
    step: int,
    training: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the content of a checkpoint.

    Args:
        identity: Identity of the run.
        spec: Spec of the training.
        weights: State dict of the model.
        epoch: Number of finished epochs.
        step: Number of finished steps in the current epoch.
        training: Further state for a resume; None in a checkpoint that only holds a model.
    """
    return {
        "format": _FORMAT,
        "spec": plain(spec),
        "fingerprint": identity.fingerprint,
        "classes": list(identity.classes),
        "manifest_hash": identity.manifest_hash,
        "clip": plain(identity.clip),
        "epoch": epoch,
        "step": step,
        "model": weights,
        **({} if training is None else {"training": training}),
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint file with tensors on the CPU, without running code from it.

    Raises:
        FileNotFoundError: If the file does not exist.
        VidclsError: If the file cannot be read as a checkpoint of this format.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise VidclsError(f"{path}: cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        found = content.get("format") if isinstance(content, dict) else "none"
        raise VidclsError(f"{path}: checkpoint format {found}, this version reads {_FORMAT}")
    return content


def read_model(path: Path) -> StoredModel:
    """Read the model of a checkpoint.

    Raises:
        FileNotFoundError: If the file does not exist.
        VidclsError: If the file cannot be read, or was written by another version.
    """
    content = read_checkpoint(path)
    try:
        return StoredModel(
            spec=Spec.model_validate_json(json.dumps(content["spec"])),
            clip=Clip.model_validate_json(json.dumps(content["clip"])),
            classes=tuple(content["classes"]),
            fingerprint=content["fingerprint"],
            manifest_hash=content["manifest_hash"],
            epoch=content["epoch"],
            weights=content["model"],
        )
    except (KeyError, ValidationError) as error:
        raise other_version(path, error) from error


def other_version(path: Path, error: Exception) -> VidclsError:
    """Error for a checkpoint whose content does not match this code."""
    return VidclsError(f"{path}: written by another version of vidcls: {error}")


def write_checkpoint(path: Path, content: dict[str, Any], *, kept: str) -> None:
    """Write a checkpoint whole or not at all: to a temporary file, synced, then renamed.

    Args:
        path: File to write.
        content: Result of `checkpoint_content`.
        kept: Text about what is safe if this fails, for the message.

    Raises:
        VidclsError: If the disk is full; the earlier file is unchanged.
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
    """Refuse before writing if the disk is too full, so that the rest is left for metrics and state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < _num_bytes(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _num_bytes(content: Any) -> int:
    """Total bytes of all tensors in nested dicts, lists and tuples."""
    if isinstance(content, torch.Tensor):
        return content.numel() * content.element_size()
    if isinstance(content, dict):
        content = list(content.values())
    return sum(map(_num_bytes, content)) if isinstance(content, list | tuple) else 0
