"""Names that a setting of a spec may have as its value; without pydantic, so that `--help` starts fast."""

from __future__ import annotations

from typing import Literal

Auto = Literal["auto"]
Split = Literal["train", "val", "test"]
Residency = Literal["device", "memory", "mapped", "streamed"]
Precision = Literal["fp32", "bf16", "fp16"]
Source = Literal["auto", "videos", "frames", "flows", "videos+flows", "frames+flows"]
Layout = Literal[
    "auto",
    "course",
    "csv",
    "ucf101",
    "hmdb51",
    "kinetics",
    "ssv2",
    "lists",
    "split/class/video",
    "class/video",
]
FlowMethod = Literal["dis", "farneback"]
Modality = Literal["rgb", "flow", "difference", "rgb+flow", "rgb+difference"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
SMALL, LITE = "small", "efficientnet_lite0"
"""Backbones that do not need torchvision, which takes seconds to load."""
