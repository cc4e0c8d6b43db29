"""The estimated memory of a step against that of torch's own allocator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from vidcls.choices import Precision
from vidcls.models.build import build
from vidcls.models.device import clip_format, to_channels_last
from vidcls.models.inputs import input_clip
from vidcls.spec.experiment import Spec
from vidcls.training.cost.memory import footprint
from vidcls.training.optim import build_optimizer
from vidcls.training.precision import Amp

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
MODELS: dict[str, dict[str, Any]] = {
    "cnn3d": {"kind": "cnn3d"},
    "late_fusion": {"kind": "late_fusion", "join": "attention"},
    "early_fusion": {"kind": "early_fusion", "backbone": "resnet18"},
    "frame_average": {"kind": "frame_average", "backbone": "mobilenet_v3_small"},
    "ensemble": {"kind": "ensemble", "members": [{"kind": "cnn3d"}, {"kind": "early_fusion"}]},
    "frozen": {"kind": "late_fusion", "backbone": "resnet18", "freeze": ["backbone"]},
}


def spec_of(model: dict[str, Any], **optim: Any) -> Spec:
    content = {
        "name": "x",
        "clip": {"frames": 8, "size": [64, 64]},
        "model": model,
        "optim": optim,
        "train": {"batch_size": 8},
    }
    return Spec.model_validate(content, strict=False)


def measured_bytes(spec: Spec, precision: Precision) -> int:
    """Peak of the memory of all tensors of a second step, as the allocator reports it to the profiler."""
    clip = input_clip(spec.model, spec.clip)
    model = build(spec.model, num_classes=10, clip=clip).train()
    to_channels_last(model)
    optimizer = build_optimizer(spec.optim, model)
    amp = Amp(precision, CPU)

    def step() -> None:
        batch = torch.zeros(spec.train.batch_size, clip.frames, *clip.size, clip.num_channels)
        batch = batch.permute(0, 4, 1, 2, 3).contiguous(memory_format=clip_format(channels_last=True))
        with amp.autocast():
            loss = F.cross_entropy(model(batch), torch.zeros(spec.train.batch_size, dtype=torch.int64))
        amp.step(loss, optimizer, params=list(model.parameters()), clip_norm=1.0)

    step()
    optimizer.zero_grad(set_to_none=True)
    states = (value for state in optimizer.state.values() for value in state.values())
    held = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers(), *states))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        step()
    assert watched.profiler is not None
    assert watched.profiler.kineto_results is not None
    events = [event for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]
    current = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        current += event.nbytes()
        peak = max(peak, current)
    return held + peak


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "fp32") for name in MODELS), ("late_fusion", "bf16")]
)
def test_the_estimate_is_within_15_percent_of_what_is_allocated(name: str, precision: Precision) -> None:
    spec = spec_of(MODELS[name])
    estimated = footprint(spec, num_classes=10, precision=precision).training_bytes
    assert estimated == pytest.approx(measured_bytes(spec, precision), rel=0.15)


def test_half_precision_and_smaller_batches_need_less() -> None:
    spec = spec_of(MODELS["late_fusion"])
    whole, half, small = (
        footprint(spec, num_classes=10, precision=precision, batch_size=size).training_bytes
        for precision, size in (("fp32", 8), ("bf16", 8), ("fp32", 2))
    )
    assert half < 0.75 * whole
    assert small < 0.4 * whole


def test_the_optimiser_is_part_of_it() -> None:
    model = {"kind": "early_fusion", "backbone": "resnet18"}
    adam, sgd, plain = (
        footprint(spec_of(model, **optim), num_classes=10, precision="fp32")
        for optim in ({}, {"kind": "sgd"}, {"kind": "sgd", "momentum": 0.0, "nesterov": False})
    )
    num_params = adam.optimizer_bytes // 2
    assert sgd.optimizer_bytes == pytest.approx(num_params, rel=1e-3)
    assert plain.optimizer_bytes == 0
    assert adam.last_bytes == adam.weight_bytes + adam.optimizer_bytes
    assert adam.training_bytes > sgd.training_bytes > plain.training_bytes


def test_operations_of_a_step_are_three_forward_passes_but_for_the_first_layer() -> None:
    """By hand: each convolution costs 2 * places * 9 * in * out, and so does each of its two gradients."""
    spec = Spec.model_validate(
        {"name": "x", "clip": {"frames": 4, "size": [32, 32]}, "model": {"kind": "early_fusion"}},
        strict=False,
    )
    first, others = 32 * 32 * 12 * 32, 16 * 16 * 32 * 64 + 8 * 8 * 64 * 128
    expected = 16 * (2 * 9 * (2 * first + 3 * others) + 3 * 2 * 128 * 7)
    counted = footprint(spec, num_classes=7, precision="fp32")
    assert counted.gflops == pytest.approx(expected / 1e9)


def test_a_clip_that_no_machine_holds_is_counted_too() -> None:
    spec = Spec.model_validate(
        {"name": "x", "clip": {"frames": 2048, "size": [2048, 2048]}, "model": {"kind": "cnn3d"}},
        strict=False,
    )
    assert footprint(spec, num_classes=2, precision="fp32").training_bytes > 1e13
