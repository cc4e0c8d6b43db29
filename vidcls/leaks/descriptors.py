"""Visual descriptors of a video, without a network. Runs in worker processes, so it must not import torch.

Each of a few frames becomes one vector of three parts, none of which depends on the file's size or codec:

* colours: an L*a*b* histogram of each quarter of the frame;
* edges: histograms of gradient directions in a grid of cells (HOG; Dalal and Triggs 2005);
* layout: the mean colour in a grid of cells.

Clips of one source share the place, the light and the people, which these descriptors capture.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcls.data.decoding.decode import Probe, decode
from vidcls.data.decoding.pictures import Pixels

VERSION = 4
"""Version of the descriptors; increased when they change, so that old stored ones are not used."""
NUM_FRAMES = 8
Vectors = NDArray[np.float32]

_SIZE = (96, 128)  # aspect ratio is ignored, so resized footage looks the same
_COLOUR_BINS = (4, 6, 6)
_COLOUR_RANGE = (
    (0, 256),
    (96, 160),
    (96, 160),
)  # the few more saturated colours fall into the last bins
_CELL_PX = 16
_DIRECTIONS = 8
PARTS = (
    4 * math.prod(_COLOUR_BINS),
    (_SIZE[0] // _CELL_PX) * (_SIZE[1] // _CELL_PX) * _DIRECTIONS,
    8 * 8 * 3,
)
"""Lengths of the three parts of a descriptor: colours, edges, layout."""


def spread(num_frames: int, num_wanted: int = NUM_FRAMES) -> list[int]:
    """Middle frames of `num_wanted` equal segments of a video; fewer if it has fewer frames."""
    num = min(num_frames, num_wanted)
    return [(2 * index + 1) * num_frames // (2 * num) for index in range(num)]


def describe_file(path: Path, frame_indices: list[int], probe: Probe) -> NDArray[np.float16]:
    """Descriptors of frames of a file, `[2, n, D]`: of the frames, and of the mirrored frames.

    Raises:
        DecodeError: If a frame cannot be decoded.
    """
    frames = decode(path, frame_indices, size=_SIZE, decoder=probe.decoder, seek_points=probe.seek_points)
    mirrored = np.ascontiguousarray(frames[:, :, ::-1])
    both = [[describe(frame) for frame in clip] for clip in (frames, mirrored)]
    return np.asarray(both, dtype=np.float16)


def describe(frame: Pixels) -> Vectors:
    """Descriptor `[D]` of a frame `[96, 128, 3]`: three parts of comparable norm."""
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
    layout = cv2.resize(lab, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    return np.concatenate([_colours(lab), _edges(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)), layout / 1024])


def _colours(lab: NDArray[Any]) -> Vectors:
    """Square roots of histogram shares (Hellinger), so that Euclidean distance compares histograms well."""
    height, width = lab.shape[0] // 2, lab.shape[1] // 2
    codes = np.zeros(lab.shape[:2], dtype=np.int64)
    for channel, (bins, (low, high)) in enumerate(zip(_COLOUR_BINS, _COLOUR_RANGE, strict=True)):
        within = (lab[..., channel].astype(np.int64) - low) * bins // (high - low)
        codes = codes * bins + np.clip(within, 0, bins - 1)
    quarters = [codes[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
    num_bins = math.prod(_COLOUR_BINS)
    counts = [np.bincount(quarter.ravel(), minlength=num_bins) for quarter in quarters]
    shares = np.concatenate(counts) / (4 * height * width)
    return np.asarray(np.sqrt(shares), dtype=np.float32)


def _edges(grey: NDArray[Any]) -> Vectors:
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    along = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    # Square root of the strength, so that one edge does not dominate, and again of the histogram.
    strength = np.sqrt(np.hypot(across, along))
    turn = np.arctan2(along, across) / np.pi % 1
    direction = np.minimum((turn * _DIRECTIONS).astype(np.int64), _DIRECTIONS - 1)
    rows = np.arange(grey.shape[0])[:, None] // _CELL_PX
    columns = np.arange(grey.shape[1])[None] // _CELL_PX
    codes = (rows * (_SIZE[1] // _CELL_PX) + columns) * _DIRECTIONS + direction
    histogram = np.sqrt(np.bincount(codes.ravel(), weights=strength.ravel(), minlength=PARTS[1]))
    return np.asarray(histogram / (np.linalg.norm(histogram) + 1e-6), dtype=np.float32)
