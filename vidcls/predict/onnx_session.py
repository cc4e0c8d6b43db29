"""Runs ONNX models with onnxruntime on the CPU. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcls.errors import UserError, reason_of
from vidcls.installed import refuse_missing
from vidcls.predict.exported import INPUT, OUTPUT, Description

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_ERRORS_ONLY = 3


class OnnxModel:
    """Exported model, ready to compute.

    Args:
        content: Content of an ONNX file that vidcls exported.
        threads: Number of CPU threads.
        name: Name of the file, for messages.

    Raises:
        UserError: If onnxruntime is missing or cannot read the content, or vidcls did not write it.
    """

    def __init__(self, content: bytes, *, threads: int, name: str) -> None:
        self._session = _open(content, threads=threads, name=name)
        self._name = name

    @classmethod
    def open(cls, path: Path, *, threads: int) -> OnnxModel:
        """Open a file.

        Raises:
            UserError: If there is no such file, or as above.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise UserError(
                f"{path}: no such file", hint=f"vidcls export RUN --to onnx --out {path}"
            ) from None
        except IsADirectoryError:
            raise UserError(f"{path}: is a folder; expected an ONNX file, or a run") from None
        return cls(content, threads=threads, name=str(path))

    def description(self) -> Description:
        """Description in the file.

        Raises:
            UserError: If vidcls did not write the file, or another version of it did.
        """
        properties = self._session.get_modelmeta().custom_metadata_map
        return Description.from_properties(properties, name=self._name)

    def logits(self, clips: np.ndarray) -> np.ndarray:
        """Compute logits `[B, K]` float32 of clips `[B, ...]`, in the form of `Description.input`."""
        (logits,) = self._session.run([OUTPUT], {INPUT: clips})
        return np.asarray(logits, np.float32)


def _open(content: bytes, *, threads: int, name: str) -> InferenceSession:
    refuse_missing(("onnxruntime",), extra="export")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Notes on optimisations say nothing to a user; what matters is raised.
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common base class for its errors
        raise UserError(f"{name}: onnxruntime cannot read it as an ONNX model: {reason_of(error)}") from error
