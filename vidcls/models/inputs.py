"""What a model takes of each video: a clip section with what was left to the weights filled in."""

from __future__ import annotations

from vidcls.spec.model import ModelSection
from vidcls.spec.sections import Clip, ClipSection


def input_clip(section: ModelSection, clip: ClipSection) -> Clip:
    """The clip that a model takes.

    Args:
        section: The model; its weights know their input size and normalisation.
        clip: As asked for.
    """
    del section  # no weights yet
    return Clip.model_validate(clip.model_dump(exclude_none=True))
