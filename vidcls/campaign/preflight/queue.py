"""Checks of the queue: does it accept the job, and do memory, GPU memory and time fit the work?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from vidcls.campaign.preflight.data import Manifests
from vidcls.campaign.preflight.finding import PreflightFinding, PreflightRequest, gb
from vidcls.campaign.preflight.trials import Tried
from vidcls.data.store.estimate import Outlook
from vidcls.errors import VidclsError
from vidcls.launch.lsf import LsfProfile
from vidcls.launch.profile import QueuedProfile
from vidcls.launch.queue import AnyProfile, open_queue
from vidcls.run.find import find_runs
from vidcls.sweep.plan import seconds_of_trial
from vidcls.training.cost.cards import card_of

_MARGIN = 1.15
"""Measured trainings took up to this multiple of the counted tensors; libraries need work space besides."""
_WORK_SPACE_BYTES = 0.2e9
_CUDA_HOST_BYTES = 1.5e9
_CUDA_DEVICE_BYTES = 0.6e9
_DECODER_BYTES = 0.15e9
_MB = 2**20


def check_queue(asked: PreflightRequest) -> Iterator[PreflightFinding]:
    """Check whether the queue exists and would accept the job."""
    profile = asked.profile
    if profile.venv_dir is not None and not Path(profile.python).is_file():
        todo = "make hpc CLUSTER=PROFILE builds it"
        yield PreflightFinding(
            "queue", "error", f"{profile.python}: this Python of the jobs does not exist", todo
        )
    if asked.job is None:
        return
    try:
        said = open_queue(profile).rehearse(asked.job)
    except VidclsError as error:
        yield PreflightFinding.of("queue", error)
    else:
        yield PreflightFinding("queue", "ok", said)


def check_memory(
    asked: PreflightRequest, tried: Tried, stores: Sequence[Outlook]
) -> Iterator[PreflightFinding]:
    """Check whether a job has enough memory for its trainings; estimated from one batch on this machine."""
    profile, data = asked.profile, asked.first.data
    num_gpus, at_once = asked.num_gpus, asked.plan.options.per_gpu if asked.plan else 1
    training = tried.training_bytes * _MARGIN + _WORK_SPACE_BYTES
    workers = data.workers if data.workers != "auto" else getattr(profile, "cpus", 1)
    host = tried.base_bytes + workers * _DECODER_BYTES
    host += _CUDA_HOST_BYTES if num_gpus else training
    largest = max((store.num_bytes for store in stores), default=0)
    if data.residency == "memory":
        host += largest
    yield _compare("memory", host * at_once, (profile.memory_mb or 0) * _MB, key="memory")
    if num_gpus == 0:
        return
    # Each process has a context of its own; a store on the device exists once for each of them.
    fixed = _CUDA_DEVICE_BYTES + (largest if data.residency == "device" else 0)
    yield _compare_gpu(tried, fixed, profile, at_once=at_once)


def _compare(what: str, needed: float, asked: float, *, key: str) -> PreflightFinding:
    about = f"about {gb(needed)} needed"
    if not asked:
        return PreflightFinding(what, "ok", f"{about}; the profile requests no amount")
    found = f"{about}, {gb(asked)} requested"
    if needed > asked:
        todo = f"raise {key} in the profile, or lower train.batch_size"
        return PreflightFinding(what, "error" if needed > 1.5 * asked else "warning", found, todo)
    return PreflightFinding(what, "ok", found)


def _compare_gpu(tried: Tried, fixed_bytes: float, profile: AnyProfile, *, at_once: int) -> PreflightFinding:
    """Compare the memory of the trials that share a GPU with that of the GPU, or of its slice."""

    def needed(tensors_bytes: float) -> float:
        return (tensors_bytes * _MARGIN + _WORK_SPACE_BYTES + fixed_bytes) * at_once

    whole = needed(tried.training_bytes)
    about = f"about {gb(whole)} needed" + (f" for {at_once} trials on a GPU" if at_once > 1 else "")
    gpu = _gpu(profile)
    if isinstance(gpu, str):
        return PreflightFinding("gpu memory", "ok", f"{about}; {gpu}")
    found = f"{about}, {gpu.name} has {gb(gpu.memory_bytes)}"
    if whole <= gpu.memory_bytes:
        return PreflightFinding("gpu memory", "ok", found)
    fitting = [size for size, num in tried.bytes_by_batch.items() if needed(num) <= gpu.memory_bytes]
    todo = f"set train.batch_size={max(fitting)}" if fitting else "lower clip.size or clip.frames"
    if at_once > 1:
        todo += ", lower --per-gpu"
    if isinstance(profile, QueuedProfile):
        is_slice = bool(profile.gpus.mig or (isinstance(profile, LsfProfile) and profile.app))
        todo += f", or ask for more in the profile: {'gpus.mig or app' if is_slice else 'gpus.type'}"
    return PreflightFinding("gpu memory", "warning" if gpu.may_be_larger else "error", found, todo)


@dataclass(frozen=True)
class _Gpu:
    name: str
    memory_bytes: float
    may_be_larger: bool = False


def _gpu(profile: AnyProfile) -> _Gpu | str:
    """The profile's GPU, its slice, or this machine's GPU; if it is not known, why."""
    if isinstance(profile, QueuedProfile):
        slices = f"{profile.gpus.mig or ''} {(profile.app or '') if isinstance(profile, LsfProfile) else ''}"
        card = card_of(profile.gpus.type, slices)
        if card is not None:
            return _Gpu(card.name, card.memory_bytes, card.may_be_larger)
        named = profile.gpus.type
        return f"gpus.type {named}: not a known card" if named else "the profile names no card (gpus.type)"
    import torch

    if not torch.cuda.is_available():
        return "there is no GPU here"
    properties = torch.cuda.get_device_properties(0)
    return _Gpu(properties.name, properties.total_memory)


def check_time(asked: PreflightRequest, tried: Tried, manifests: Manifests) -> Iterator[PreflightFinding]:
    """Check whether the time limit fits one training, if its duration can be estimated."""
    profile = asked.profile
    if not isinstance(profile, QueuedProfile):
        return
    needed, evidence = _training_s(asked, tried, manifests)
    if needed is None:
        found = f"{profile.time} requested; the time needed is not known, because there are no earlier runs"
        yield PreflightFinding("time", "ok", found)
        return
    found = f"about {_clock(needed)} for each training (from {evidence}), {profile.time} requested"
    if needed < profile.time_s - profile.warn_s:
        yield PreflightFinding("time", "ok", found)
    elif profile.requeue:
        jobs = int(needed // (profile.time_s - profile.warn_s)) + 1
        yield PreflightFinding(
            "time", "ok", f"{found}: the training is saved and queued again, {jobs} jobs in all"
        )
    else:
        todo = "raise time in the profile, or set requeue: true"
        yield PreflightFinding("time", "warning", found, todo)


def _training_s(asked: PreflightRequest, tried: Tried, manifests: Manifests) -> tuple[float | None, str]:
    """Estimated seconds of one training, and the source of the estimate."""
    spec = asked.first
    if asked.plan is not None and (seconds := seconds_of_trial(asked.plan.folder)) is not None:
        return seconds, "the mean of its finished trials"
    device = "cuda" if asked.num_gpus else "cpu"
    took = []
    for run in find_runs(Path(spec.runs_dir) / spec.name):
        with contextlib.suppress(VidclsError):  # written by another version of vidcls
            status = run.status()
            if status and status.epoch and str(run.provenance()["device"]).startswith(device):
                took.append(status.elapsed_s / status.epoch * spec.train.num_epochs)
    if took:
        return median(took), f"{len(took)} earlier runs on {device}"
    if device == "cpu" and tried.step_s:
        each = spec.clip.frames if spec.clip.unit == "frame" else 1
        steps = len(manifests[spec.data].split("train")) * each / spec.train.batch_size
        # If features are stored, the backbone runs once per view; the cost of the head is negligible.
        passes = spec.num_stored_views if spec.foresees_features else spec.train.num_epochs
        return tried.step_s * steps * passes, "one batch on this machine"
    return None, ""


def check_features(asked: PreflightRequest, tried: Tried, manifests: Manifests) -> Iterator[PreflightFinding]:
    """Report the features that are computed once, before any head is trained."""
    spec = asked.first
    if not tried.feature_bytes or not spec.foresees_features:
        return
    num_videos = len(manifests[spec.data].training)
    takes = tried.step_s / tried.full_batch_size * num_videos * spec.num_stored_views
    found = (
        f"features of the frozen backbone, {num_videos} videos x {spec.num_stored_views} views, are "
        f"computed once"
    )
    found += f" and stored, if they are not stored yet; about {_clock(takes)} on this CPU"
    yield PreflightFinding("features", "ok", found)


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02} h" if minutes >= 60 else f"{max(1, minutes)} min"
