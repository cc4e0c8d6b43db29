"""Checkpoints back into models. They describe themselves: a checkpoint file alone is enough."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from vidcls.errors import VidclsError
from vidcls.models.build import build
from vidcls.models.video_model import VideoModel
from vidcls.runs import Checkpoint, Run
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip

FORMAT = 2


@dataclass(frozen=True)
class Restored:
    """A trained model with all that is needed to use it.

    Attributes:
        model: Model in evaluation mode, on its device.
        spec: The spec it was trained by.
        clip: What the model takes.
        classes: Class names; the index is the label.
        manifest_hash: Identity of the data it was trained on.
        epoch: Finished epochs.
    """

    model: VideoModel
    spec: Spec
    clip: Clip
    classes: tuple[str, ...]
    manifest_hash: str
    epoch: int


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint file, tensors on the CPU, nothing executed.

    Raises:
        VidclsError: If the file cannot be read as a checkpoint of this format.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise VidclsError(f"{path}: not a checkpoint that can be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else "none"
        raise VidclsError(f"{path}: checkpoint format {found}, this version reads {FORMAT}")
    return content


def restore(run: Run, which: Checkpoint, device: torch.device) -> Restored:
    """The model of a run's checkpoint.

    Raises:
        UserError: If the run has no such checkpoint, naming those that it has.
    """
    path = run.existing_checkpoint(which)
    content = read_checkpoint(path)
    try:
        spec = Spec.model_validate_json(json.dumps(content["spec"]))
        clip = Clip.model_validate_json(json.dumps(content["clip"]))
        model = build(spec.model, num_classes=len(content["classes"]), clip=clip)
        model.load_state_dict(content["model"])
    except (KeyError, ValidationError, RuntimeError) as error:
        raise VidclsError(f"{path}: written by another version of vidcls: {error}") from error
    return Restored(
        model=model.to(device).eval(),
        spec=spec,
        clip=clip,
        classes=tuple(content["classes"]),
        manifest_hash=content["manifest_hash"],
        epoch=content["epoch"],
    )
