"""Traces a trained model as a graph of torch.export; see `vidcls.export.inputs` for what it takes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from vidcls.errors import VidclsError, reason_of
from vidcls.export.inputs import ModelInput
from vidcls.models.kinds.custom import custom_parts
from vidcls.predict.exported import INPUT
from vidcls.user_code.load import line_of

_EXAMPLE_BATCH = 2
"""Batch of the example: torch.export would take the sizes 0 and 1 as fixed."""
_SHOWN = 300


def trace(model: nn.Module, taken: ModelInput, *, name: str) -> torch.export.ExportedProgram:
    """Trace a model on the CPU in float32, for batches of any size.

    Args:
        model: Trained model; any module from clips `[B, C, T, H, W]` to logits `[B, K]`.
        taken: Input of the graph.
        name: Name of the model, for messages.

    Raises:
        VidclsError: If torch cannot export this model.
    """
    example = torch.from_numpy(taken.random(_EXAMPLE_BATCH))
    with quiet_torch(), torch.no_grad(), refused(name, "torch.export", model):
        return torch.export.export(
            taken.graph(model), (example,), dynamic_shapes={INPUT: {0: torch.export.Dim.DYNAMIC}}
        )


@contextmanager
def refused(name: str, exporter: str, model: nn.Module | None = None) -> Iterator[None]:
    """Turn any error of an exporter into one message: it depends on the code of the model.

    Args:
        name: Name of the model.
        exporter: Program that raises.
        model: Model whose own code runs; of a user's code, the line is named.

    Raises:
        VidclsError: If an error was raised.
    """
    try:
        yield
    except Exception as error:
        cause = error.__cause__ or error
        lines = [line_of(part.code, cause) for part in custom_parts(model)] if model is not None else []
        where = next((f"{line}: " for line in lines if line is not None), "")
        # What torch says after the first paragraph is about its own lines, or repeats that of the user.
        text = str(cause).strip().partition("\n\n")[0] if where else str(cause)
        reason = " ".join(text.split()) or reason_of(cause)
        raise VidclsError(
            f"{name}: {exporter} cannot export this model: {where}{type(cause).__name__}: {reason[:_SHOWN]}",
            hint="its forward must be made of tensor operations alone, without decisions that depend on "
            "values or on the batch size; of the models in vidcls all can be exported",
        ) from error


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Hide what torch's exporters say besides their errors, as it says nothing about the result."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings():
        # nn.GRU keeps a list of its weights, which the exporter sees change while it replaces them by those
        # of the graph; the weights are parameters and are exported.
        warnings.filterwarnings("ignore", message="The tensor attributes? .*_flat_weights")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
