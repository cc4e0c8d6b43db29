"""State of every random number generator that a training may use."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def rng_state(device: torch.device) -> dict[str, Any]:
    """Get the state of every random number generator that training on a device may use."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  (libraries may use it)
    version, words, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
        "python": [version, list(words), gauss_next],
    }


def set_rng_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore the state of every random number generator from `rng_state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))


def seed_everything(seed: int) -> None:
    """Seed every random number generator that training may use."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
