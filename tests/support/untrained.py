"""Runs with random weights that nobody trained: a checkpoint as a training writes it, in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.support.scored import PROVENANCE
from vidcls.checkpoints import CheckpointIdentity, checkpoint_content, write_checkpoint
from vidcls.models.build import build
from vidcls.models.inputs import input_clip
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec

CLASSES = ("Left", "Right", "Still")


def untrained_run(
    folder: Path,
    *,
    name: str,
    model: dict[str, Any],
    clip: dict[str, Any],
    classes: Sequence[str] = CLASSES,
    data: dict[str, Any] | None = None,
    manifest_hash: str = "abc",
    change: Callable[[nn.Module], None] = lambda model: None,
) -> Run:
    """A run below `folder/runs/<name>` with a best checkpoint; its data may be nowhere."""
    root = (data or {}).get("root", str(folder / "nowhere"))
    settings = {"name": name, "model": model, "clip": clip, "data": {**(data or {}), "root": root}}
    spec = Spec.model_validate_json(json.dumps(settings))
    own_clip = input_clip(spec.model, spec.clip)
    torch.manual_seed(0)
    network = build(spec.model, num_classes=len(classes), clip=own_clip)
    scramble_norms(network)
    change(network)
    run = Run(folder / "runs" / name / "0123456789ab-s0")
    provenance = {"manifest": {"hash": manifest_hash}, "data_root": root, "store_dir": str(folder / "store")}
    run.create(spec, PROVENANCE | provenance)
    identity = CheckpointIdentity("0123456789ab", tuple(classes), manifest_hash, own_clip)
    content = checkpoint_content(identity, spec, network.state_dict(), epoch=1, step=0)
    write_checkpoint(run.checkpoint_file("best"), content, kept="nothing")
    return run


def scramble_norms(network: nn.Module) -> None:
    """Give batch norms statistics and factors as after a training: at first they do nothing."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.1)
