"""Inflation to 3D: a clip of equal frames gives what the 2D network gives of the frame."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torchvision
from torch import Tensor, nn

from vidcls.errors import UserError
from vidcls.models.backbones import backbone_2d, backbone_3d
from vidcls.models.backbones.inflate import InflatedConv3d, inflate
from vidcls.models.backbones.padded import PaddedConv2d

# One of each torchvision family that is made of parts with a 3D form.
INFLATABLE = ("resnet18", "mobilenet_v3_small", "efficientnet_b0", "efficientnet_lite0")
MORE = (
    "vgg11_bn", "densenet121", "resnext50_32x4d", "mobilenet_v2", "googlenet", "squeezenet1_1", "mnasnet0_5",
    "regnet_y_400mf", "alexnet", "timm/test_resnet",
)  # fmt: skip


@pytest.fixture
def sixteen_digits() -> Iterator[None]:
    """Computes in float64: a deep fresh network makes much of differences in rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def settled(network: nn.Module, images: Tensor) -> nn.Module:
    """With the statistics of a batch in its norms, without which the signal of a deep fresh network dies out."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        network(images)
    return network.eval()


def check_constant_clip(
    flat: nn.Module, deep: nn.Module, images: Tensor, *, num_frames: int = 3, tolerance: float = 1e-5
) -> None:
    clip = images[:, :, None].expand(-1, -1, num_frames, -1, -1)
    with torch.no_grad():
        expected, maps = flat(images), deep(clip)
    assert maps.shape[2] == num_frames
    scale = expected.abs().max()
    assert scale > 1e-3
    for t in range(num_frames):
        assert (maps[:, :, t] - expected).abs().max() < tolerance * scale


@pytest.mark.parametrize(
    "name", [*INFLATABLE, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_a_clip_of_equal_frames_gives_what_the_image_gives(name: str, sixteen_digits: None) -> None:
    if name == "efficientnet_lite0":
        pytest.importorskip(
            "efficientnet_lite_pytorch", reason="the extra `lite` is not installed: pip install -e '.[lite]'"
        )
    torch.manual_seed(0)
    images = torch.randn(2, 3, 64, 64)
    flat = settled(backbone_2d(name, in_channels=3, size=(64, 64)).body, images)
    deep = inflate(copy.deepcopy(flat), image_shape=(3, 64, 64)).eval()
    assert not any(isinstance(part, nn.Conv2d | nn.BatchNorm2d) for part in deep.modules())
    assert deep.state_dict().keys() == flat.state_dict().keys()
    check_constant_clip(flat, deep, images, num_frames=2, tolerance=1e-10)


def test_pooled_features_are_those_of_torchvision() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 64, 64)
    whole = settled(torchvision.models.resnet18(weights=None), images)
    whole.fc = nn.Identity()  # type: ignore[assignment]
    deep = backbone_3d("resnet18", in_channels=3, clip_shape=(4, 64, 64)).eval()
    for name, tensor in whole.state_dict().items():
        target = deep.body.state_dict()[name]
        target.copy_(tensor if target.ndim < 5 else tensor[:, :, None].expand_as(target) / target.shape[2])
    clip = images[:, :, None].expand(-1, -1, 4, -1, -1)
    with torch.no_grad():
        torch.testing.assert_close(deep(clip), whole(images), rtol=1e-4, atol=1e-4)


def test_sees_the_order_of_frames() -> None:
    torch.manual_seed(0)
    deep = backbone_3d("resnet18", in_channels=2, clip_shape=(4, 32, 32)).eval()
    clip = torch.randn(1, 2, 4, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(deep(clip), deep(clip[:, :, [2, 0, 3, 1]]), atol=1e-4)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, (1, 7), padding=(0, 3)),
        nn.Conv2d(4, 8, 3, groups=4, dilation=2, padding=2, bias=False),
        nn.Conv2d(4, 6, 4, stride=2),
        nn.Conv2d(4, 6, 5, stride=(2, 1), padding=(1, 2)),
    ],
    ids=repr,
)
def test_each_kind_of_convolution(conv: nn.Conv2d) -> None:
    images = torch.randn(2, 4, 15, 13)
    check_constant_clip(conv, InflatedConv3d(conv), images, num_frames=5)


def test_convolution_with_uneven_padding() -> None:
    conv = PaddedConv2d(4, 6, 3, stride=2)
    conv.zeros = (0, 1, 2, 3)
    images = torch.randn(2, 4, 12, 14)
    uneven = nn.functional.conv2d(nn.functional.pad(images, (0, 1, 2, 3)), conv.weight, conv.bias, stride=2)
    torch.testing.assert_close(conv(images), uneven)
    check_constant_clip(conv, InflatedConv3d(conv), images)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("convnext_tiny", "LayerNorm2d has no 3D form"),
        ("shufflenet_v2_x0_5", "it uses view"),
        ("swin_t", "only for images"),
    ],
)
def test_refuses_what_has_no_3d_form(name: str, reason: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match="cannot be inflated to 3D") as caught:
        backbone_3d(name, in_channels=3, clip_shape=(4, 64, 64))
    assert reason in caught.value.message
    assert caught.value.hint


def test_refuses_a_mean_over_two_axes_between_layers() -> None:
    """On a clip it would run without an error, over the wrong axes."""

    class Squeeze(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3))

        def forward(self, images: Tensor) -> Tensor:
            maps: Tensor = self.body(images)
            return maps * maps.mean(dim=(2, 3), keepdim=True)

    with pytest.raises(Exception, match="it uses mean"):
        inflate(Squeeze(), image_shape=(3, 8, 8))
