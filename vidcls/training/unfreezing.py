"""Gradual unfreezing (ULMFiT, Howard and Ruder 2018, arXiv:1801.06146).

At first only the head trains, so that its random start does not spoil the pretrained features; then the
stages of the backbones are unfrozen one after another, from the top.
"""

from __future__ import annotations

from vidcls.errors import UserError
from vidcls.models.kinds.base import VideoModel
from vidcls.models.kinds.custom import refuse_whole
from vidcls.models.stages import unfreezing_stages


class Unfreezing:
    """Sets which stages train in an epoch, as a function of the epoch alone, so a resume needs no state.

    Args:
        model: Newly built model; parameters that are already frozen stay frozen.
        every: Number of epochs after which the next stage is unfrozen; None trains all from the start.

    Raises:
        UserError: If there is nothing to unfreeze.
    """

    def __init__(self, model: VideoModel, *, every: int | None) -> None:
        if every:
            refuse_whole(model, "train.unfreeze_every")
        self._every = every or 1
        steps = unfreezing_stages(model) if every else []
        if every and not steps:
            raise UserError(
                "train.unfreeze_every: has no effect, because model.freeze freezes the whole backbone",
                hint="leave one of the two out",
            )
        self._names = [", ".join(stage.name for stage in step) for step in steps]
        self._params = [
            [param for stage in step for param in stage.params if param.requires_grad] for step in steps
        ]

    def enter(self, epoch: int) -> None:
        """Freeze and unfreeze the stages for an epoch, which counts from 0."""
        num_unfrozen = epoch // self._every
        for k, params in enumerate(self._params):
            for param in params:
                param.requires_grad_(k < num_unfrozen)

    def never(self, num_epochs: int) -> list[str]:
        """Stages that stay frozen to the end of a training of `num_epochs` epochs, from the top."""
        return self._names[(num_epochs - 1) // self._every :]
