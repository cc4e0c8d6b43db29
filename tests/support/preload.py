"""What children of the tests share: all that a training imports, and nothing computed."""

from __future__ import annotations

import matplotlib.figure
import torch

import tests.support.training
import vidcls.sweep.worker.child
import vidcls.training.run_training

__all__ = ["matplotlib", "tests", "torch", "vidcls"]
