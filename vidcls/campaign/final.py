"""Final training: on train and val together, for as many epochs as the validated run found best.

There is nothing left to validate it with, so nothing may be chosen by it: what is known of it is the accuracy
of the validated run, and then that on the sealed test split.
"""

from __future__ import annotations

from pathlib import Path

from vidcls.data.manifest import load_manifest
from vidcls.errors import UserError
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import fingerprint


def final_settings(spec: Spec) -> list[str]:
    """Settings that make a spec the final training of its validated run.

    Args:
        spec: Spec of the validated run.

    Raises:
        UserError: If that run is not finished, or the spec is one of a final training already.
    """
    if spec.data.join_val or spec.train.stop_after is not None:
        raise UserError(
            "--final: the experiment sets data.join_val or train.stop_after, which --final sets",
            hint="leave them out, or leave --final out",
        )
    manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
    run = Run.at(spec, fingerprint(spec, manifest.hash))
    status = run.status()
    if status is None or status.state != "finished" or status.best_epoch is None:
        raise UserError(
            f"--final: {run.folder} is not a finished run, so the best number of epochs is not known",
            hint="train it first: the same command without --final",
        )
    return [f"name={spec.name}-final", "data.join_val=true", f"train.stop_after={status.best_epoch}"]
