"""Checkpoints back into models: a checkpoint file alone is enough, as it describes itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vidcls.checkpoints import other_version, read_model
from vidcls.models.build import build
from vidcls.models.kinds.base import VideoModel
from vidcls.runs import Checkpoint, Run
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip


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


def restore(run: Run, which: Checkpoint, device: torch.device) -> Restored:
    """The model of a run's checkpoint.

    Raises:
        UserError: If the run has no such checkpoint, naming those that it has.
        VidclsError: If it cannot be read, or was written by another version.
    """
    path = run.existing_checkpoint(which)
    stored = read_model(path)
    try:
        model = build(stored.spec.model, num_classes=len(stored.classes), clip=stored.clip)
        model.load_state_dict(stored.weights)
    except (KeyError, RuntimeError) as error:
        raise other_version(path, error) from error
    return Restored(
        model=model.to(device).eval(),
        spec=stored.spec,
        clip=stored.clip,
        classes=stored.classes,
        manifest_hash=stored.manifest_hash,
        epoch=stored.epoch,
    )
