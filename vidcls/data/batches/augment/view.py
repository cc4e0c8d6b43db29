"""View of a clip: the window that is taken of its stored frames, and what is done to the pixels of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray
from torch import Tensor

from vidcls.data.batches.window import Window
from vidcls.spec.sections import Clip


class Operation(Protocol):
    """One draw of an augmentation, applied in the same way to all frames of a clip, as uint8.

    Attributes:
        mirrors: Whether the clip is mirrored left to right, so that `flip_map` gives its label.
    """

    mirrors: ClassVar[bool]

    def on_host(self, frames: NDArray[Any], clip: Clip) -> None:
        """Change `[n, h, w, C]` uint8 in place, on the CPU and without threads of its own.

        Args:
            frames: The window of each stored frame of the clip.
            clip: Says what the channels are, see `vidcls.data.modality`.
        """

    def on_device(self, frames: Tensor, clip: Clip) -> None:
        """Change `[n, h, w, C]` uint8 in place, on the device; to the same values as `on_host`."""


class BatchOperation(Protocol):
    """One draw of an augmentation that mixes the clips of a training batch with one another."""

    def on_clips(self, clip: Tensor) -> None:
        """Mix `[B, C, T, H, W]` float32, normalised, in place, on its device."""

    def targets(self, labels: Tensor, num_classes: int) -> Tensor:
        """Probabilities `[B, K]` float32 of the mixed clips, from labels `[B]` of the clips as they were."""


@dataclass(frozen=True)
class View:
    """What is taken of the frames of one clip, and what is done to it.

    Attributes:
        window: Part of the stored frames.
        operations: Done to the window, in this order.
    """

    window: Window
    operations: tuple[Operation, ...] = ()

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right are exchanged."""
        return sum(operation.mirrors for operation in self.operations) % 2 == 1
