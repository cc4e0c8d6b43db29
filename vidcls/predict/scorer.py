"""What a timeline needs of a model: it scores clips. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vidcls.spec.sections import Clip


class ClipScorer(Protocol):
    """Trained model that scores clips of decoded frames."""

    @property
    def clip(self) -> Clip:
        """Clip section, which says how frames become a clip of the model."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""

    def score_clips(self, clips: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Score clips in the form of a store, see `vidcls.predict.stored_form`, with the view of evaluation.

        Args:
            clips: One or more clips, `[T, h, w, C]`, or `[2 T, h, w, 3]` for differences.

        Returns:
            Logits `[B, K]`.
        """
