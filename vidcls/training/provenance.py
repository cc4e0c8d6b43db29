"""Provenance of a run: the code, data and machine that produced it, and the value of every `auto`."""

from __future__ import annotations

import platform
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vidcls.data.batches.source import BatchSource
from vidcls.data.manifest import Manifest
from vidcls.errors import VidclsError
from vidcls.features.clips import AnyBatch
from vidcls.installed import COMPUTING, code_digest, releases
from vidcls.leaks.state import LeakState
from vidcls.process.cores import processor
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import targets_in
from vidcls.spec.show import to_yaml
from vidcls.training.precision import resolve_precision


@dataclass(frozen=True)
class TrainingStart:
    """Settings of one start of a run.

    Attributes:
        device: Device that computes.
        threads: Number of threads for `train.threads: auto`.
        accept_code: Whether the code may differ from that of earlier starts.
    """

    device: torch.device
    threads: int
    accept_code: bool


def provenance_of(
    run: Run,
    *,
    spec: Spec,
    manifest: Manifest,
    leaks: LeakState,
    start: TrainingStart,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Collect the value of every `auto` and the version of the code; a resume keeps the first record.

    Args:
        run: Run whose provenance is stored, or will be.
        spec: Spec of the run.
        manifest: Videos of the spec.
        leaks: Known leaks between the videos.
        start: Settings of this start.
        say: Receives a message if a resume uses other hardware or software than before.

    Raises:
        VidclsError: If the code, or a package that affects results, differs from the one that trained the
            run so far, and that is not accepted.
    """
    here = {
        "code": code_digest(),
        "python": platform.python_version(),
        "versions": releases(COMPUTING),
        "host": platform.node(),
        "device": str(start.device),
        "processor": _processor(start.device),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
    }
    # More may be known about leaks than at the first start, if the data was audited since.
    known = {"leaks": leaks.as_dict()}
    if run.spec_file.exists():
        _compare(run, here, accept_code=start.accept_code, say=say)
        before = run.provenance()
        return before | known | {"resumes": [*before["resumes"], here]}
    _say_other_code(run, spec, say)
    asked = {
        "threads": start.threads if spec.train.threads == "auto" else spec.train.threads,
        "precision": resolve_precision(spec.train, start.device),
        "manifest": {"hash": manifest.hash, "layout": manifest.layout},
        # Absolute paths, or a target, so that the run can be evaluated from any folder.
        "data_root": spec.data.place,
        "store_dir": str(Path(spec.store_dir).absolute()),
        "classes": list(manifest.classes),
        "resumes": [],
    }
    return here | known | asked


def _compare(run: Run, here: Mapping[str, Any], *, accept_code: bool, say: Callable[[str], None]) -> None:
    """Refuse to continue with other code or packages unless that is accepted; report other differences."""
    if changes := run.changes_since():
        found = (
            f"{run.folder}: the installed code or packages changed since this run was last trained: "
            f"{', '.join(changes)}"
        )
        if not accept_code:
            raise VidclsError(
                found,
                hint="give --accept-code to continue with what is installed now, or --restart to move this "
                "run aside and start again",
            )
        say(found)
    last = run.last_start()
    if (last["device"], last["processor"]) != (here["device"], here["processor"]):
        say(
            f"{run.folder}: trained on {last['device']} ({last['processor']}) so far, continues on "
            f"{here['device']} ({here['processor']}): the last digits of its results will differ from "
            "those of an uninterrupted run"
        )


def _processor(device: torch.device) -> str:
    """Product name of the GPU or CPU that computes."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor()


def _say_other_code(run: Run, spec: Spec, say: Callable[[str], None]) -> None:
    """Name the runs of the same experiment with other code of the user: one may have been meant to go on."""
    text = to_yaml(spec)
    for other in find_runs(run.folder.parent) if any(targets_in(spec)) else ():
        if other.folder.name.endswith(f"-s{spec.seed}") and other.spec_file.read_text() == text:
            say(f"{other.folder}: the same experiment with other code or other data; this is a new run")


def seen(clips: BatchSource[AnyBatch], before: dict[str, Any]) -> dict[str, Any]:
    """Facts known after opening the clips: residency, unreadable videos, decoders.

    Raises:
        VidclsError: If other videos than before cannot be read, so that the run would use other data.
    """
    bad = dict(clips.bad)
    if before.get("bad_videos", bad).keys() != bad.keys():
        changed = sorted(before["bad_videos"].keys() ^ bad.keys())
        raise VidclsError(
            f"some videos could be read when this run began but not now, or now but not then: "
            f"{', '.join(changed)}",
            hint="this can be caused by a slow disk: give the same command again, or raise data.timeout_s",
        )
    decoders = dict(sorted(Counter(clips.decoders.values()).items()))
    return {"residency": clips.residency, "bad_videos": bad, "decoders": decoders}


def begun_with(weights: list[dict[str, str]], before: dict[str, Any]) -> dict[str, Any]:
    """Record of the pretrained weights of a run.

    Raises:
        VidclsError: If a file holds other weights than at the first start of the run.
    """
    was = before.get("weights", weights)
    if len(was) != len(weights):
        raise VidclsError(
            f"the run began with {len(was)} files of pretrained weights, but now there are {len(weights)}",
            hint="give --restart to move this run aside and start again",
        )
    for old, new in zip(was, weights, strict=True):
        if old["digest"] != new["digest"]:
            raise VidclsError(
                f"{new['file']}: contains other weights than when this run began",
                hint="restore the old file, or give --restart to move this run aside and start again",
            )
    return {"weights": weights}
