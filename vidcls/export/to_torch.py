"""Writes a traced model as a file of torch.export, which torch loads without the code of vidcls."""

from __future__ import annotations

import io

import numpy as np
import torch

from vidcls.export.graph import refused
from vidcls.predict.exported import EXTRA_FILE, Description


class TorchExport:
    """Traced model in the form of torch.export.

    Args:
        program: Result of `trace`.
        name: Name of the run, for messages.

    Raises:
        VidclsError: If torch cannot write the model or read it back.
    """

    def __init__(self, program: torch.export.ExportedProgram, *, name: str) -> None:
        self._program = program
        with refused(name, "torch.export"):
            # What is compared with the trained model is what a user of the file will load.
            self._runnable = torch.export.load(io.BytesIO(_saved(program, {}))).module()

    def logits(self, clips: np.ndarray) -> np.ndarray:
        """Compute logits `[B, K]` of clips `[B, ...]` by the graph."""
        with torch.inference_mode():
            return np.asarray(self._runnable(torch.from_numpy(clips)).numpy(), np.float32)

    def content(self, description: Description) -> bytes:
        """Content of the file, with its description."""
        return _saved(self._program, {EXTRA_FILE: description.model_dump_json()})


def _saved(program: torch.export.ExportedProgram, extra_files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=extra_files)
    return buffer.getvalue()
