"""Network for audits by content; this module connects models and data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidcls.choices import LITE
from vidcls.data.decoding.pictures import Pixels
from vidcls.leaks.embeddings import Network
from vidcls.models.backbones import backbone_2d
from vidcls.models.backbones.lite import SIZE, is_installed
from vidcls.models.weights.catalogue import DEFAULT, resolve
from vidcls.models.weights.load import load_backbone


def installed_network() -> Network | None:
    """EfficientNet-Lite0 if its packages are installed, on the GPU if there is one; else None."""
    if not is_installed():
        return None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = backbone_2d(LITE, in_channels=3, size=SIZE)
    load_backbone(backbone, resolve(LITE, DEFAULT), weights_dir=Path())
    model = backbone.to(device).eval()

    def embed(frames: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2)
            features = model((images.float() - 127) / 128).mean(dim=(2, 3))
            return np.asarray(features.cpu().numpy(), dtype=np.float32)

    return Network("lite0", SIZE, backbone.num_features, embed)
