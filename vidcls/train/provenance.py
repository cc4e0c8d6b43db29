"""What a run says of itself: which code, data and machine made it, and what every `auto` became."""

from __future__ import annotations

import platform
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vidcls.data.batches import Clips
from vidcls.data.feature_clips import FeatureClips
from vidcls.data.leaks.state import LeakState
from vidcls.data.manifest import Manifest
from vidcls.errors import VidclsError
from vidcls.runs import Run, code_digest
from vidcls.spec.experiment import Spec
from vidcls.train.precision import resolve_precision


@dataclass(frozen=True)
class Start:
    """One start of a run.

    Attributes:
        device: Where it computes.
        threads: What `train.threads: auto` becomes.
        accept_code: Whether the code may differ from that of before.
    """

    device: torch.device
    threads: int
    accept_code: bool


def provenance_of(
    run: Run, *, spec: Spec, manifest: Manifest, leaks: LeakState, start: Start
) -> dict[str, Any]:
    """What every `auto` became and which code runs; on a resume, what was written at the start.

    Raises:
        VidclsError: If the code differs from the code that began the run.
    """
    here = {
        "code": code_digest(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "host": platform.node(),
        "device": str(start.device),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
    }
    # Of the leaks more may be known than at the start: somebody has audited the data.
    known = {"leaks": leaks.as_dict()}
    if not run.spec_file.exists():
        return (
            here
            | known
            | {
                "threads": start.threads if spec.train.threads == "auto" else spec.train.threads,
                "precision": resolve_precision(spec.train, start.device),
                "manifest": {"hash": manifest.hash, "layout": manifest.layout},
                # Absolute, so that the run can be evaluated from any folder.
                "data_root": str(Path(spec.data.root).absolute()),
                "store_dir": str(Path(spec.store_dir).absolute()),
                "classes": list(manifest.classes),
                "resumes": [],
            }
        )
    if run.is_of_other_code() and not start.accept_code:
        raise VidclsError(
            f"{run.folder}: the installed code differs from the code that trained this run so far",
            hint="--accept-code goes on with the new code; --restart sets the run aside and begins anew",
        )
    before = run.provenance()
    return before | known | {"resumes": [*before["resumes"], here]}


def seen(clips: Clips | FeatureClips, before: dict[str, Any]) -> dict[str, Any]:
    """What opening the clips came to.

    Raises:
        VidclsError: If other videos than before cannot be read: the run would go on with other data.
    """
    bad = dict(clips.bad)
    if before.get("bad_videos", bad).keys() != bad.keys():
        changed = sorted(before["bad_videos"].keys() ^ bad.keys())
        raise VidclsError(
            f"other videos can be read than when this run began: {', '.join(changed)}",
            hint="a slow disk may do that: give the same command again, or raise data.timeout_s",
        )
    decoders = dict(sorted(Counter(clips.decoders.values()).items()))
    return {"residency": clips.residency, "bad_videos": bad, "decoders": decoders}


def begun_with(weights: list[dict[str, str]], before: dict[str, Any]) -> dict[str, Any]:
    """The pretrained weights of a run.

    Raises:
        VidclsError: If a file holds others than when the run began.
    """
    was = before.get("weights", weights)
    if len(was) != len(weights):
        raise VidclsError(
            f"the run began with {len(was)} files of weights, now there are {len(weights)}",
            hint="--restart sets the run aside and begins anew",
        )
    for old, new in zip(was, weights, strict=True):
        if old["digest"] != new["digest"]:
            raise VidclsError(
                f"{new['file']}: holds other weights than those that this run began with",
                hint="put the old file back, or --restart sets the run aside and begins anew",
            )
    return {"weights": weights}
