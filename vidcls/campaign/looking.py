"""The network that helps an audit: where models and data meet."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vidcls.data.decoding.readers import Pixels
from vidcls.data.leaks.looks import Network
from vidcls.models.lite import NUM_FEATURES, SIZE, LiteFeatures, is_installed


def installed_network() -> Network | None:
    """EfficientNet-Lite0 where its packages are installed, on the GPU if there is one; else None."""
    if not is_installed():
        return None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = LiteFeatures().to(device)

    def embed(frames: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2)
            return np.asarray(model(images).cpu().numpy(), dtype=np.float32)

    return Network("lite0", SIZE, NUM_FEATURES, embed)
