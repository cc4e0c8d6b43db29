"""The model that predicts: a run, or a file that was exported of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.predict.onnx_predictor import OnnxPredictor
    from vidcls.predict.predictor import Predictor


@dataclass(frozen=True)
class AskedModel:
    """Model that was asked for.

    Attributes:
        path: Folder of a run, or an ONNX file.
        checkpoint: Checkpoint of the run; None for the best.
        device: Device that computes; None for the best available.
        trust_code: Whether code in the run's folder may run, although it is not code of the user.
    """

    path: Path
    checkpoint: Literal["best", "last"] | None
    device: str | None
    trust_code: bool

    @property
    def is_onnx(self) -> bool:
        """Whether it is an exported file, which needs no torch."""
        return self.path.suffix == ".onnx"

    def check(self) -> None:
        """Check the request without loading anything.

        Raises:
            UserError: If there is no such run or checkpoint, or an option has no effect with a file.
        """
        if self.is_onnx:
            self._refuse_for_onnx()
            return
        from vidcls.run.find import open_run

        open_run(self.path).existing_checkpoint(self.checkpoint or "best")

    def _refuse_for_onnx(self) -> None:
        if self.checkpoint is not None:
            raise UserError(
                "--checkpoint: has no effect with an ONNX file, which holds one checkpoint",
                hint="leave it out; vidcls export RUN --checkpoint last exports the other one",
            )
        if self.trust_code:
            raise UserError(
                "--trust-code: has no effect with an ONNX file, which runs no code", hint="leave it out"
            )
        if self.device not in (None, "cpu"):
            raise UserError(
                f"--device {self.device}: an ONNX file is computed on the CPU",
                hint="leave it out, or give the run",
            )

    def open(self) -> Predictor | OnnxPredictor:
        """Load the model.

        Raises:
            UserError: If it cannot be loaded.
        """
        if self.is_onnx:
            from vidcls.predict.onnx_predictor import OnnxPredictor

            return OnnxPredictor(self.path)
        from vidcls.predict.predictor import Predictor
        from vidcls.run.find import open_run
        from vidcls.user_code.trust import trusting

        with trusting(self.trust_code):
            predictor = Predictor(
                open_run(self.path), checkpoint=self.checkpoint or "best", device=self.device
            )
        predictor.refuse_own_dataset()
        return predictor
