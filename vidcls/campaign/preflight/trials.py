"""Tries each distinct model on a batch of the data, on the CPU, which finds the causes of most failed jobs.

Every shape is built and its memory counted, on fake tensors; the largest shapes are trained on a
batch, until the time limit. A passed check is stored by code, specs and data, and is not repeated.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from vidcls.campaign.preflight.data import Manifests
from vidcls.campaign.preflight.finding import Candidate, PreflightFinding, PreflightRequest, has_errors
from vidcls.choices import Precision
from vidcls.errors import VidclsError
from vidcls.files import write_json
from vidcls.installed import code_digest
from vidcls.json_files import DamagedError, read_json
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import identity

if TYPE_CHECKING:
    from vidcls.campaign.dry_run import Rehearsal
    from vidcls.training.cost.memory import Footprint
    from vidcls.training.session import Display

MOST_SHAPES = 8
"""Maximum number of shapes that are trained on a batch; all are built."""
BUDGET_S = 15.0
"""Time after which no further shape is started."""
_NOT_SHAPE = {"model": ("dropout", "aggregate", "rgb_share"), "clip": ("mean", "std")}


@dataclass(frozen=True)
class Tried:
    """Result of the rehearsals; for several shapes, the values of the largest.

    Attributes:
        num_shapes: Number of distinct shapes.
        num_rehearsed: Number of these that were trained on a batch.
        batch_size: Number of clips in the batch of the largest shape.
        full_batch_size: Batch size in its spec.
        metrics: Metrics that are logged after an epoch.
        step_s: Seconds of one step with its whole batch, on this CPU.
        decode_s: Seconds to decode one video, by all workers together.
        base_bytes: Memory of a process before it trains.
        training_bytes: Peak of all tensors during a step.
        bytes_by_batch: The same for smaller batches of the largest shape, halved again and again; only for
            jobs with a GPU.
        last_bytes: Size of the checkpoint from which a training resumes.
        best_bytes: Size of the weights alone.
        feature_bytes: Disk space for the features of frozen backbones while they are computed.
    """

    num_shapes: int = 0
    num_rehearsed: int = 0
    batch_size: int = 0
    full_batch_size: int = 0
    metrics: tuple[str, ...] = ()
    step_s: float = 0.0
    decode_s: float = 0.0
    base_bytes: int = 0
    training_bytes: int = 0
    bytes_by_batch: dict[int, int] = field(default_factory=dict)
    last_bytes: int = 0
    best_bytes: int = 0
    feature_bytes: int = 0


@dataclass(frozen=True)
class _Shape:
    candidate: Candidate
    precision: Precision
    footprint: Footprint


def try_trials(
    asked: PreflightRequest, manifests: Manifests, *, display: Display
) -> tuple[Tried, list[PreflightFinding]]:
    """Build every distinct model, and train the largest on a batch; or use the stored result."""
    distinct = _distinct(asked.candidates)
    file = Path(asked.first.store_dir) / "preflights" / f"{_key(asked, distinct, manifests)}.json"
    if (known := _read(file)) is not None:
        return known, [
            PreflightFinding("model", "ok", f"{_said(known)}; tried before with this code and data")
        ]
    import torch  # noqa: F401  (not imported if the result is stored)

    started = time.monotonic()
    shapes, findings = _build(distinct, manifests, half=asked.num_gpus > 0)
    done: list[tuple[_Shape, Rehearsal]] = []
    for shape in sorted(shapes, key=lambda shape: -shape.footprint.training_bytes)[:MOST_SHAPES]:
        if done and time.monotonic() - started > BUDGET_S:
            break
        outcome = _rehearse(shape, manifests, display=display, num_shapes=min(len(shapes), MOST_SHAPES))
        if isinstance(outcome, PreflightFinding):
            findings.append(outcome)
        else:
            done.append((shape, outcome))
    if not done or has_errors(findings):
        return Tried(num_shapes=len(distinct)), findings
    batches = _smaller(done[0][0], manifests) if asked.num_gpus else {}
    tried = _sum_up(shapes, done, manifests, batches=batches)
    write_json(file, asdict(tried))
    return tried, [*findings, PreflightFinding("model", "ok", _said(tried))]


def _said(tried: Tried) -> str:
    shapes = (
        "one batch"
        if tried.num_shapes == 1
        else f"one batch of each of {tried.num_shapes} models of different shape"
    )
    if tried.batch_size < tried.full_batch_size:
        shapes += f" ({tried.batch_size} of {tried.full_batch_size} clips, because this is only a CPU)"
    if tried.num_rehearsed < tried.num_shapes:
        shapes = (
            f"{tried.num_shapes} models of different shape built, one batch of the "
            f"{tried.num_rehearsed} largest"
        )
    return f"{shapes}: forward, backward, checkpoint and evaluation work (tried with random weights)"


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """One candidate per shape: the one with the largest batch."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        spec = candidate.spec
        key = json.dumps([_shape_of(spec), identity(spec.data), spec.augment.flip > 0, spec.optim.kind])
        before = found.get(key)
        if before is None or before.spec.train.batch_size < spec.train.batch_size:
            found[key] = candidate
    return list(found.values())


def _shape_of(spec: Spec) -> list[Any]:
    """Settings that can change the shape of a tensor."""
    return [_without(identity(getattr(spec, section)), keys) for section, keys in _NOT_SHAPE.items()]


def _without(value: Any, keys: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value


def _build(
    candidates: Sequence[Candidate], manifests: Manifests, *, half: bool
) -> tuple[list[_Shape], list[PreflightFinding]]:
    """Footprint of each shape, with `half` in 16 bits as on GPUs; and findings about shapes that fail."""
    from vidcls.training.cost.memory import footprint

    shapes: list[_Shape] = []
    findings: list[PreflightFinding] = []
    for candidate in candidates:
        spec = candidate.spec
        precision = spec.train.precision
        try:
            with candidate.loaded.error_context():
                num_classes = manifests[spec.data].num_classes
                asked = ("bf16" if half else "fp32") if precision == "auto" else precision
                counted = footprint(spec, num_classes=num_classes, precision=asked)
                shapes.append(_Shape(candidate, asked, counted))
        except Exception as error:
            findings.append(_failed(candidate, error))
    return shapes, findings


def _smaller(shape: _Shape, manifests: Manifests) -> dict[int, int]:
    from vidcls.training.cost.memory import bytes_of_smaller_batches

    spec = shape.candidate.spec
    num_classes = manifests[spec.data].num_classes
    return bytes_of_smaller_batches(spec, num_classes=num_classes, precision=shape.precision)


def _rehearse(
    shape: _Shape, manifests: Manifests, *, display: Display, num_shapes: int
) -> Rehearsal | PreflightFinding:
    import torch

    from vidcls.campaign.dry_run import clips_within, rehearse

    spec = _on_cpu(shape.candidate.spec)
    num = clips_within(BUDGET_S / num_shapes, spec.train.batch_size, gflops=shape.footprint.gflops)
    display.say(f"one batch: {shape.candidate.label or spec.model.kind}")
    try:
        with shape.candidate.loaded.error_context():
            return rehearse(
                spec,
                manifest=manifests[spec.data],
                device=torch.device("cpu"),
                display=display,
                batch_size=num,
            )
    except Exception as error:  # any error that would end a training is a finding
        return _failed(shape.candidate, error)


def _on_cpu(spec: Spec) -> Spec:
    """Spec that the CPU can compute: fp16 is only for GPUs."""
    if spec.train.precision != "fp16":
        return spec
    return spec.model_copy(update={"train": spec.train.model_copy(update={"precision": "auto"})})


def _failed(candidate: Candidate, error: Exception) -> PreflightFinding:
    label = f"{candidate.label}: " if candidate.label else ""
    if isinstance(error, VidclsError):
        return PreflightFinding("model", "error", f"{label}{error.message}", error.hint or "")
    reason = next(iter(str(error).splitlines()), "")
    todo = f"vidcls train {candidate.loaded.path} --dry-run shows where"
    return PreflightFinding("model", "error", f"{label}{type(error).__name__}: {reason}", todo)


def _sum_up(
    shapes: Sequence[_Shape],
    done: Sequence[tuple[_Shape, Rehearsal]],
    manifests: Manifests,
    *,
    batches: dict[int, int],
) -> Tried:
    largest, first = done[0]
    rehearsals, prints = [one for _, one in done], [shape.footprint for shape in shapes]
    spec = largest.candidate.spec
    batch_size = min(spec.train.batch_size, len(manifests[spec.data].split("train")))
    return Tried(
        num_shapes=len(shapes),
        num_rehearsed=len(done),
        batch_size=min(first.num_videos, batch_size),
        full_batch_size=batch_size,
        metrics=tuple(set.intersection(*(set(one.metrics) for one in rehearsals))),
        step_s=first.step_s * batch_size / first.num_videos,
        decode_s=max(one.decode_s / one.num_videos for one in rehearsals),
        base_bytes=first.base_bytes,
        training_bytes=max(one.training_bytes for one in prints),
        bytes_by_batch=batches,
        last_bytes=max(one.last_bytes for one in prints),
        best_bytes=max(one.weight_bytes for one in prints),
        feature_bytes=_feature_bytes(shapes, manifests),
    )


def _feature_bytes(shapes: Sequence[_Shape], manifests: Manifests) -> int:
    """Size of all features that will be stored; heads on the same backbone share them."""
    found: dict[str, int] = {}
    for shape in shapes:
        spec = shape.candidate.spec
        if not spec.foresees_features:
            continue
        backbones = [[type(one).__name__, one.backbone, one.weights] for one in spec.model.singles()]
        key = json.dumps([backbones, identity(spec.clip), identity(spec.augment)])
        num_views = len(manifests[spec.data].training) * spec.num_stored_views
        # Blocks and the files into which they are joined exist at the same time.
        found[key] = 2 * num_views * shape.footprint.view_bytes
    return sum(found.values())


def _key(asked: PreflightRequest, distinct: Sequence[Candidate], manifests: Manifests) -> str:
    all_specs = [candidate.spec for candidate in distinct]
    specs = [[identity(spec), spec.data.decoder, spec.foresees_features] for spec in all_specs]
    content = [
        code_digest(),
        [version(name) for name in ("torch", "torchvision", "av")],
        specs,
        [manifest.hash for manifest in manifests.values()],
        asked.num_gpus,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


_TRIED = TypeAdapter(Tried)


def _read(file: Path) -> Tried | None:
    try:
        return read_json(file, _TRIED, hint="remove it")
    except (FileNotFoundError, DamagedError):  # then the check is repeated
        return None


def check_metric(asked: PreflightRequest, tried: Tried) -> list[PreflightFinding]:
    """Check whether the metric of a sweep is logged, from the rows of the rehearsals."""
    if asked.plan is None or not tried.metrics:
        return []
    name = asked.plan.sweep.objective.name
    if name in tried.metrics:
        return [PreflightFinding("metric", "ok", f"{name} is logged after each epoch")]
    logged = ", ".join(sorted(metric for metric in tried.metrics if "/" in metric))
    return [
        PreflightFinding("metric", "error", f"{name} is never logged", f"set metric.name to one of {logged}")
    ]
