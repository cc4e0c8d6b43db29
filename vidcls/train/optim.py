"""The optimiser of a spec, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from vidcls.spec.sections import AdamWSection, SGDSection


def build_optimizer(section: AdamWSection | SGDSection, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW or SGD over two groups: weights with decay; norms and biases (one dimension) without."""
    params = [param for param in model.parameters() if param.requires_grad]
    groups = [
        {"params": [param for param in params if param.ndim > 1], "weight_decay": section.weight_decay},
        {"params": [param for param in params if param.ndim <= 1], "weight_decay": 0.0},
    ]
    if isinstance(section, AdamWSection):
        return torch.optim.AdamW(groups, lr=section.lr, betas=section.betas)
    return torch.optim.SGD(groups, lr=section.lr, momentum=section.momentum, nesterov=section.nesterov)


def learning_rate(
    section: AdamWSection | SGDSection, step: int, *, steps_per_epoch: int, num_epochs: int
) -> float:
    """The learning rate of a step: linear warm-up, then half a cosine to zero (arXiv:1608.03983) or constant.

    Args:
        section: Peak, warm-up and schedule.
        step: Counted from 0 over the whole training.
        steps_per_epoch: Of the data.
        num_epochs: Of the whole training.
    """
    warmup = section.warmup_epochs * steps_per_epoch
    if step < warmup:
        return section.lr * (step + 1) / (warmup + 1)
    if section.schedule == "constant":
        return section.lr
    progress = (step - warmup) / max(num_epochs * steps_per_epoch - warmup, 1)
    return section.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
