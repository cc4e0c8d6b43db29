"""Writes a traced model as an ONNX file: one file that holds the weights and the description."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from vidcls.errors import UserError
from vidcls.export.graph import quiet_torch, refused
from vidcls.predict.exported import INPUT, OUTPUT, Description
from vidcls.predict.onnx_session import OnnxModel

if TYPE_CHECKING:
    import onnx

OPSET = 20
"""Version of the ONNX operators: the newest that onnxruntime 1.20 and torch's exporter both know."""
_MOST_BYTES = 2**31 - 2**20
"""Protocol buffers, the format of ONNX files, end at 2 GB; the rest is for the graph."""


def refuse_large(num_bytes: int, *, name: str) -> None:
    """Refuse weights that do not fit into one ONNX file.

    Raises:
        UserError: If there are 2 GB of weights or more.
    """
    if num_bytes >= _MOST_BYTES:
        raise UserError(
            f"{name}: the model has {num_bytes / 1e9:.1f} GB of weights; an ONNX file holds less than 2 GB",
            hint="--to torch-export has no such limit",
        )


class OnnxExport:
    """Traced model in the form of ONNX.

    Args:
        program: Result of `trace`.
        threads: Number of CPU threads that compute.
        name: Name of the run, for messages.

    Attributes:
        model: ONNX model, without a description.

    Raises:
        VidclsError: If an operation of the model has no form in ONNX.
    """

    def __init__(self, program: torch.export.ExportedProgram, *, threads: int, name: str) -> None:
        self.model = _converted(program, name)
        self._runnable = OnnxModel(self.model.SerializeToString(), threads=threads, name=name)

    def logits(self, clips: np.ndarray) -> np.ndarray:
        """Compute logits `[B, K]` of clips `[B, ...]` by onnxruntime."""
        return self._runnable.logits(clips)

    def content(self, description: Description) -> bytes:
        """Content of the file, with its description."""
        return described(self.model, description)


def described(model: onnx.ModelProto, description: Description) -> bytes:
    """Content of the file of an ONNX model: with its description, and checked."""
    import onnx

    del model.metadata_props[:]
    onnx.helper.set_model_props(model, description.as_properties())
    model.producer_name, model.producer_version = "vidcls", description.version
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _converted(program: torch.export.ExportedProgram, name: str) -> onnx.ModelProto:
    with quiet_torch(), refused(name, "torch.onnx"):
        converted = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: "batch"}},
        )
        assert converted is not None, "it is None only for the older exporter"
        return converted.model_proto
