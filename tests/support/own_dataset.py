"""Data sets as a user writes them: a module in a folder, with squares that move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SQUARES = '''
"""A square moves over a still background: the class is where it goes."""

import random
from pathlib import Path

import numpy as np
import torch


class Squares:
    classes = ["down", "across", "still"]

    def __init__(self, split="train", num=6, size=24, num_frames=4, log=None):
        if log:
            with Path(log).open("a") as file:
                file.write(split + "\\n")
        self.split, self.size, self.num_frames = split, size, num_frames
        self.seeds = [{"train": 0, "val": 1000, "test": 2000}[split] + number for number in range(num)]
        self.labels = [number % 3 for number in range(num)]

    def __len__(self):
        return len(self.seeds)

    def frames(self, index):
        """[T, H, W, C] uint8"""
        draw = np.random.default_rng(self.seeds[index])
        video = np.repeat(draw.integers(60, 120, (1, self.size, self.size, 3)), self.num_frames, axis=0)
        side, (y, x) = self.size // 3, draw.integers(0, self.size // 3, 2)
        for frame in range(self.num_frames):
            step = frame * self.size // (3 * self.num_frames)
            top = y + step * (self.labels[index] == 0)
            left = x + step * (self.labels[index] == 1)
            video[frame, top : top + side, left : left + side] = draw.integers(150, 250, 3)
        return video.astype(np.uint8)

    def __getitem__(self, index):
        video = self.frames(index)
        if self.split == "train" and random.random() < 0.5:
            video = video[:, :, ::-1]
        clip = torch.from_numpy(video.copy()).permute(3, 0, 1, 2).float() / 255
        if self.split == "train":
            clip = clip * (0.8 + 0.4 * torch.rand(1)) + 0.01 * float(np.random.rand())
        return clip, self.labels[index]
'''


def write_dataset(folder: Path, change: str = "", *, base: str = SQUARES, name: str = "own") -> str:
    """Write a module with the squares and what a test adds to it; the target of its last class.

    Args:
        folder: Folder of the module.
        change: Further code, such as a class `Wrong(Squares)`; it is the target then.
        base: Code before it.
        name: Name of the module.
    """
    path = folder / f"{name}.py"
    path.write_text(base + change)
    last = [line for line in (base + change).splitlines() if line.startswith(("class ", "def "))][-1]
    return f"{path}:{last.split()[1].partition('(')[0].rstrip(':')}"


def data_of(target: str, **args: Any) -> dict[str, Any]:
    """A data section."""
    return {"target": target, "args": args}
