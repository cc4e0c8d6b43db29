"""Input of an exported model: raw clips of videos, or clips that a data set of the user makes.

raw clip [B, N, H, W, C'] uint8      as decoded: frames, bytes of flow, or both; N = 2 T for differences
  |  differences, normalisation: as in `vidcls.data.batches.transforms`
clip [B, C, T, H, W] float32         of a user's data set: the graph begins here
  |  model in evaluation mode
logits [B, K]
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vidcls.data.batches.augment.view import View
from vidcls.data.batches.buffers import Buffers
from vidcls.data.batches.raw_clips import raw_shape
from vidcls.data.batches.transforms import host_batch
from vidcls.data.batches.window import Window
from vidcls.data.modality import has_difference, levels
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip

_RGB = 3
_SEED = 0


class ForwardError(Exception):
    """Error in the model while it is traced; its cause says which.

    Of a RuntimeError about values, torch prints the graph so far, which says nothing to a user.
    """


class ClipModel(nn.Module):
    """Model from clips `[B, C, T, H, W]` float32 to logits `[B, K]`.

    Args:
        model: Trained model; it is copied, not changed.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).to("cpu", torch.float32).eval()
        # A frozen backbone computes in parts of some clips without gradients, which a graph cannot hold.
        self.model.requires_grad_(True)
        self.eval()

    def forward(self, clip: Tensor) -> Tensor:
        """Compute `[B, K]` from `[B, C, T, H, W]`."""
        try:
            logits: Tensor = self.model(clip)
        except Exception as error:
            raise ForwardError from error
        return logits


class RawClipModel(ClipModel):
    """Model from raw clips `[B, N, H, W, C']` uint8 to logits `[B, K]`.

    Args:
        model: Trained model; it is copied, not changed.
        clip: Clip section of its input.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: nn.Module, clip: Clip) -> None:
        super().__init__(model)
        self._num_colours = clip.num_channels - _RGB if has_difference(clip) else None
        scale, shift = levels(clip, 1.0, 1.0)
        self.register_buffer("scale", torch.from_numpy(scale).float())
        self.register_buffer("shift", torch.from_numpy(shift).float())

    def forward(self, clip: Tensor) -> Tensor:
        """Compute `[B, K]` from `[B, N, H, W, C']`."""
        frames = clip.float()
        if self._num_colours is not None:
            first, following = frames[:, ::2], frames[:, 1::2]
            frames = following - first
            if self._num_colours:
                frames = torch.cat([first, frames], dim=-1)
        return super().forward((frames * self.scale + self.shift).permute(0, 4, 1, 2, 3))


@dataclass(frozen=True)
class VideoInput:
    """Raw clips of videos, `[B, N, H, W, C]` uint8, which the graph normalises.

    Attributes:
        clip: Clip section of the model's input.
    """

    clip: Clip

    def graph(self, model: nn.Module) -> nn.Module:
        """Model from this input to logits."""
        return RawClipModel(model, self.clip)

    def random(self, num: int) -> np.ndarray:
        """Random bytes, the same in each call."""
        return np.random.default_rng(_SEED).integers(0, 256, (num, *raw_shape(self.clip)), np.uint8)

    def as_evaluated(self, clips: np.ndarray) -> Tensor:
        """Input of the trained model, `[B, C, T, H, W]`, made by the transforms of an evaluation."""
        windows = [list(torch.from_numpy(clip)) for clip in clips]
        views = [View(Window(0, 0, *self.clip.size))] * len(windows)
        return host_batch(windows, views, clip=self.clip, buffers=Buffers(1))


@dataclass(frozen=True)
class DatasetInput:
    """Clips of a user's data set as the model takes them, `[B, C, T, H, W]` float32.

    Attributes:
        clip: Clip section of the model's input.
        target: Target of the data set.
    """

    clip: Clip
    target: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """C, T, H, W."""
        return (self.clip.num_channels, self.clip.frames, *self.clip.size)

    def graph(self, model: nn.Module) -> nn.Module:
        """Model from this input to logits."""
        return ClipModel(model)

    def random(self, num: int) -> np.ndarray:
        """Clips of normally distributed values, the same in each call."""
        return np.random.default_rng(_SEED).standard_normal((num, *self.shape), np.float32)

    def as_evaluated(self, clips: np.ndarray) -> Tensor:
        """Input of the trained model: the clips as they are."""
        return torch.from_numpy(clips)


ModelInput = VideoInput | DatasetInput


def model_input(spec: Spec, clip: Clip) -> ModelInput:
    """Input of the exported model of a spec.

    Args:
        spec: Spec of the training.
        clip: Clip section of the model's input.
    """
    return VideoInput(clip) if spec.data.target is None else DatasetInput(clip, spec.data.target)
