"""vidcls: train, evaluate and compare video classifiers. One YAML file describes one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vidcls.predict.predictor import Predictor

__all__ = ["load"]


def load(
    run: str | Path,
    *,
    checkpoint: Literal["best", "last"] = "best",
    device: str | None = None,
    trust_code: bool = False,
) -> Predictor:
    """Load a trained run for prediction: `vidcls.load("runs/x/1234-s0").predict(["a.mp4"])`.

    Args:
        run: Folder of the run.
        checkpoint: Checkpoint to load.
        device: `cpu`, `cuda` or `cuda:N`; None for the best available.
        trust_code: Run the code of a model that lies in the run's folder, although it is not code of yours.

    Raises:
        UserError: If there is no such run, checkpoint or device, or if it needs code that is not yours.
        ValueError: If the path begins with `~` and the name of an unknown user.
    """
    # torch is imported here and not with the package, so that `vidcls --help` is fast.
    from vidcls.files import expand_home
    from vidcls.predict.predictor import Predictor
    from vidcls.runs import Run
    from vidcls.user_code.trust import trusting

    with trusting(trust_code):
        return Predictor(Run.open(Path(expand_home(str(run)))), checkpoint=checkpoint, device=device)
