"""Restores models from checkpoints; the checkpoint file alone is enough, as it describes itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vidcls.checkpoints import other_version, read_model
from vidcls.models.build import build
from vidcls.models.kinds.base import VideoModel
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import targets_in
from vidcls.spec.sections import Clip
from vidcls.user_code.trust import kept_code


@dataclass(frozen=True)
class Restored:
    """Trained model with all that is needed to use it.

    Attributes:
        model: Model in evaluation mode, on its device.
        spec: Spec of the training.
        clip: Clip section, which describes the input of the model.
        classes: Class names; the index is the label.
        fingerprint: Fingerprint of the spec and its data.
        manifest_hash: Hash of the manifest of the training data.
        epoch: Number of finished epochs.
    """

    model: VideoModel
    spec: Spec
    clip: Clip
    classes: tuple[str, ...]
    fingerprint: str
    manifest_hash: str
    epoch: int


def restore(run: Run, which: Checkpoint, device: torch.device, *, into: VideoModel | None = None) -> Restored:
    """Restore the model of a run's checkpoint.

    Args:
        run: Run.
        which: Checkpoint of the run.
        device: Device of the model.
        into: Model of this run that gets the weights; None builds one.

    Raises:
        UserError: If the run has no such checkpoint; the message lists those that it has. If its model is
            code that the user does not have and has not trained with.
        VidclsError: If it cannot be read, or was written by another version.
    """
    path = run.existing_checkpoint(which)
    stored = read_model(path)
    try:
        model = into or _built(run, stored.spec, stored.clip, num_classes=len(stored.classes))
        model.load_state_dict(stored.weights)
    except (KeyError, RuntimeError) as error:
        raise other_version(path, error) from error
    return Restored(
        model=model.to(device).eval(),
        spec=stored.spec,
        clip=stored.clip,
        classes=stored.classes,
        fingerprint=stored.fingerprint,
        manifest_hash=stored.manifest_hash,
        epoch=stored.epoch,
    )


def _built(run: Run, spec: Spec, clip: Clip, *, num_classes: int) -> VideoModel:
    with kept_code(run.code_dir, targets_in(spec.model)):
        return build(spec.model, num_classes=num_classes, clip=clip)
