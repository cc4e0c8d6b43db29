"""The first layer for other inputs than RGB, against the same network fed with RGB."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from vidcls.errors import UserError
from vidcls.models.backbones import backbone_2d
from vidcls.models.backbones.first_layer import adapt_first_layer, set_in_channels


def rgb_body() -> nn.Module:
    torch.manual_seed(0)
    return backbone_2d("mobilenet_v3_small", in_channels=3, size=(32, 32)).body.eval()


def adapted(body: nn.Module, in_channels: int, channels_per_frame: int) -> nn.Module:
    wider = copy.deepcopy(body)
    set_in_channels(wider, in_channels)
    old, new = wider.state_dict(), body.state_dict()
    name = next(name for name in old if old[name].shape != new[name].shape)
    new[name] = adapt_first_layer(new[name], in_channels=in_channels, channels_per_frame=channels_per_frame)
    wider.load_state_dict(new)
    return wider.eval()


def test_early_fusion_of_equal_frames_is_the_image() -> None:
    body, images = rgb_body(), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        fused = adapted(body, 15, 3)(images.repeat(1, 5, 1, 1))
        torch.testing.assert_close(fused, body(images), rtol=1e-4, atol=1e-5)


def test_early_fusion_sees_the_mean_of_the_frames() -> None:
    """The first layer is linear: frames side by side give what their mean gives the 2D network."""
    body, frames = rgb_body(), torch.randn(2, 4, 3, 32, 32)
    with torch.no_grad():
        fused = adapted(body, 12, 3)(frames.flatten(1, 2))
        torch.testing.assert_close(fused, body(frames.mean(dim=1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("in_channels", "per_frame"), [(2, 2), (20, 2), (6, 2), (1, 1), (5, 5)])
def test_other_channels_see_what_grey_gives(in_channels: int, per_frame: int) -> None:
    """Each channel has an equal share: any input gives what a grey image of its mean gives the 2D network."""
    body, flow = rgb_body(), torch.randn(2, in_channels, 32, 32)
    grey = flow.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    with torch.no_grad():
        torch.testing.assert_close(
            adapted(body, in_channels, per_frame)(flow), body(grey), rtol=1e-4, atol=1e-5
        )


def test_rgb_and_its_differences_keep_the_kernel() -> None:
    weight = torch.randn(8, 3, 7, 7)
    assert adapt_first_layer(weight, in_channels=3, channels_per_frame=3) is weight
    video = torch.randn(8, 3, 3, 7, 7)
    wider = adapt_first_layer(video, in_channels=2, channels_per_frame=2)
    assert wider.shape == (8, 2, 3, 7, 7)


def test_a_wider_layer_keeps_all_else() -> None:
    class Own(nn.Conv2d):
        """A class of its own, as timm's for TensorFlow's padding."""

    body = nn.Sequential(Own(3, 8, 3, stride=2, padding=4, dilation=2, padding_mode="reflect", bias=False))
    set_in_channels(body, 10)
    wider = body[0]
    assert isinstance(wider, Own)
    assert (wider.in_channels, wider.stride, wider.padding, wider.dilation) == (10, (2, 2), (4, 4), (2, 2))
    assert (wider.padding_mode, wider.bias) == ("reflect", None)
    assert body(torch.randn(1, 10, 16, 16)).shape == (1, 8, 10, 10)


def test_refuses_a_first_layer_over_something_else_than_rgb() -> None:
    with pytest.raises(UserError, match="cannot take 2 channels: its first layer takes 48"):
        backbone_2d("timm/tresnet_m", in_channels=2, size=(64, 64))
