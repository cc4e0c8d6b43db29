"""vidcls: train, evaluate and compare video classifiers. One YAML file describes one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vidcls.evaluate.predict import Predictor

__all__ = ["load"]


def load(
    run: str | Path, *, checkpoint: Literal["best", "last"] = "best", device: str | None = None
) -> Predictor:
    """A trained run, ready to predict: `vidcls.load("runs/x/1234-s0").predict(["a.mp4"])`.

    Args:
        run: Folder of the run.
        checkpoint: Which weights.
        device: `cpu`, `cuda` or `cuda:N`; the best there is if None.

    Raises:
        UserError: If there is no such run, checkpoint or device.
        ValueError: If the path begins with the name of a user who is not known here.
    """
    # torch is imported here, not with the package: `vidcls --help` must not wait for it.
    from vidcls.evaluate.predict import Predictor
    from vidcls.files import expand_home
    from vidcls.runs import Run

    return Predictor(Run.open(Path(expand_home(str(run)))), checkpoint=checkpoint, device=device)
