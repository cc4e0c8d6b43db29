"""Traces a trained model, from raw clips to logits, as a graph of torch.export.

raw clip [B, N, H, W, C'] uint8      as decoded: frames, bytes of flow, or both; N = 2 T for differences
  |  differences, normalisation: as in `vidcls.data.batches.transforms`
clip [B, C, T, H, W] float32
  |  model in evaluation mode
logits [B, K]
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vidcls.data.batches.raw_clips import raw_shape
from vidcls.data.modality import has_difference, levels
from vidcls.errors import VidclsError, reason_of
from vidcls.predict.exported import INPUT
from vidcls.spec.sections import Clip

_RGB = 3
_EXAMPLE_BATCH = 2
"""Batch of the example: torch.export would take the sizes 0 and 1 as fixed."""
_SHOWN = 300


class RawClipModel(nn.Module):
    """Model from raw clips `[B, N, H, W, C']` uint8 to logits `[B, K]`.

    Args:
        model: Trained model from clips `[B, C, T, H, W]` to logits; it is copied, not changed.
        clip: Clip section of its input.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: nn.Module, clip: Clip) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).to("cpu", torch.float32).eval()
        # A frozen backbone computes in parts of some clips without gradients, which a graph cannot hold.
        self.model.requires_grad_(True)
        self._num_colours = clip.num_channels - _RGB if has_difference(clip) else None
        scale, shift = levels(clip, 1.0, 1.0)
        self.register_buffer("scale", torch.from_numpy(scale).float())
        self.register_buffer("shift", torch.from_numpy(shift).float())
        self.eval()

    def forward(self, clip: Tensor) -> Tensor:
        """Compute `[B, K]` from `[B, N, H, W, C']`."""
        frames = clip.float()
        if self._num_colours is not None:
            first, following = frames[:, ::2], frames[:, 1::2]
            frames = following - first
            if self._num_colours:
                frames = torch.cat([first, frames], dim=-1)
        logits: Tensor = self.model((frames * self.scale + self.shift).permute(0, 4, 1, 2, 3))
        return logits


def trace(model: nn.Module, clip: Clip, *, name: str) -> torch.export.ExportedProgram:
    """Trace a model on the CPU in float32, for batches of any size.

    Args:
        model: Trained model; any module from clips `[B, C, T, H, W]` to logits `[B, K]`.
        clip: Clip section of its input.
        name: Name of the run, for messages.

    Raises:
        VidclsError: If torch cannot export this model.
    """
    example = torch.zeros((_EXAMPLE_BATCH, *raw_shape(clip)), dtype=torch.uint8)
    with quiet_torch(), torch.no_grad(), refused(name, "torch.export"):
        return torch.export.export(
            RawClipModel(model, clip), (example,), dynamic_shapes={INPUT: {0: torch.export.Dim.DYNAMIC}}
        )


@contextmanager
def refused(name: str, exporter: str) -> Iterator[None]:
    """Turn any error of an exporter into one message: it depends on the code of the model.

    Raises:
        VidclsError: If an error was raised.
    """
    try:
        yield
    except Exception as error:
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split()) or reason_of(cause)
        raise VidclsError(
            f"{name}: {exporter} cannot export this model: {type(cause).__name__}: {reason[:_SHOWN]}",
            hint="its forward must be made of tensor operations alone, without decisions that depend on "
            "values or on the batch size; of the models in vidcls all can be exported",
        ) from error


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Hide warnings of torch's exporters that say nothing about the result."""
    with warnings.catch_warnings():
        # nn.GRU keeps a list of its weights, which the exporter sees change while it replaces them by those
        # of the graph; the weights are parameters and are exported.
        warnings.filterwarnings("ignore", message="The tensor attributes? .*_flat_weights")
        yield
