"""Leak state of a run, which must accompany each of its accuracies."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidcls.leaks.state import LeakState, audited, joined_state, weighed
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec


def leaks_of(run: Run) -> LeakState:
    """Leak state of the run's data at its last training, or from a later audit.

    Raises:
        VidclsError: If the run's provenance is damaged, or of another version of vidcls.
    """
    provenance = run.provenance()
    return recorded_leaks(provenance, joined=run.settings(provenance)["data"]["join_val"])


def recorded_leaks(provenance: Mapping[str, Any], *, joined: bool) -> LeakState:
    """Leak state of a run's data, see `leaks_of`, for a run whose files are read already.

    Args:
        provenance: Provenance of the run.
        joined: Whether val videos were trained on, `data.join_val`.
    """
    recorded = LeakState.from_dict(provenance["leaks"])
    found = audited(provenance["manifest"]["hash"], store_dir=Path(provenance["store_dir"]))
    return weighed(recorded, joined_state(found) if joined else found)


def audit_command(spec: Spec) -> str:
    """Command that audits the data of a spec for leaks; for a user's data set, what it needs for that."""
    if spec.data.target is not None:
        return f"give {spec.data.target} the attribute `groups`: the source of each item"
    words = ["vidcls", "data", "audit", spec.data.root, *_reading(spec)]
    if spec.data.val_fraction is not None:
        words += ["--val-fraction", str(spec.data.val_fraction)]
    return shlex.join(words)


def _reading(spec: Spec) -> list[str]:
    """Options for `vidcls data` to read the same videos and store its result where runs find it."""
    default = Spec.model_fields["store_dir"].default
    options = {
        "--layout": None if spec.data.layout == "auto" else spec.data.layout,
        "--source": None if spec.data.source == "auto" else spec.data.source,
        "--split-number": spec.data.split_number,
        "--store-dir": None if spec.store_dir == default else spec.store_dir,
    }
    return [word for name, value in options.items() if value is not None for word in (name, str(value))]


def leak_warning(state: LeakState, spec: Spec) -> str | None:
    """Warning in two lines for a training on data that leaks; None if there is no leak.

    Args:
        state: Leak state of the data.
        spec: Spec of the training.
    """
    if state.kind != "leaky":
        return None
    shares = " and ".join(f"{num} of {total} {split}" for split, (num, total) in state.shares.items() if num)
    found = (
        f"this data leaks: {shares} videos have a relative in train, so accuracy on them says little about "
        "new videos"
    )
    if spec.data.target is not None:
        return f"{found}\n  give all items of a group of {spec.data.target} the same split"
    by = "group" if state.by == "group" else "content"
    words = ["vidcls", "data", "split", spec.data.root, "--by", by, "--out", "clean.csv"]
    split = shlex.join([*words, *_reading(spec)])
    return f"{found}\n  {audit_command(spec)}  shows these videos;  {split}  makes a split without leaks"
