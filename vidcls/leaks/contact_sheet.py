"""Contact sheet: pairs of videos side by side, with a few frames of each, for visual inspection.

`read_strips` reads the frames of any contact sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidcls.data.decoding.decode import Probe, decode
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.data.manifest import Video
from vidcls.leaks.audit import RelatedPair
from vidcls.leaks.descriptors import spread
from vidcls.leaks.embeddings import probe_all
from vidcls.text import printable

_MAX_ROWS = 200
"""Maximum number of rows; a JPEG has at most 65,500 pixels per side, and more rows are no use to a reader."""
NUM_FRAMES = 4
"""Number of frames in the strip of a video."""
_SIZE = (84, 112)
_GAP_PX = 16
_TEXT_PX = 18
_BACKGROUND, _INK = (255, 255, 255), (20, 20, 20)


def write_sheet(
    pairs: Sequence[RelatedPair],
    path: Path,
    *,
    store_dir: Path,
    decoders: Decoders,
    progress: StageProgress | None = None,
) -> int:
    """Draw a row for each of the first 200 pairs: the held-out video, then its relative in train.

    Args:
        pairs: Pairs to draw, best first.
        path: File to write, a JPEG or PNG by its suffix.
        store_dir: Folder of stores and caches.
        decoders: Decoders of the frames.
        progress: Called in the stages `probe` and `draw`.

    Returns:
        Number of pairs that were drawn.

    Raises:
        OSError: If the file cannot be written.
    """
    pairs = pairs[:_MAX_ROWS]
    videos = list({video.digest: video for pair in pairs for video in (pair.held_out, pair.train)}.values())
    strips = read_strips(videos, size=_SIZE, store_dir=store_dir, decoders=decoders, progress=progress)
    _draw(pairs, strips).save(path, quality=85)
    return len(pairs)


def read_strips(
    videos: Sequence[Video],
    *,
    size: tuple[int, int],
    store_dir: Path,
    decoders: Decoders,
    progress: StageProgress | None = None,
) -> dict[str, Pixels | Failure]:
    """Read a few frames of each video, side by side, from the truth: PyAV in order, or equal to it.

    Args:
        videos: Videos with frames, each content once.
        size: Height and width in pixels of a frame; it is scaled to fit, and the rest is white.
        store_dir: Folder of stores and caches.
        decoders: Decoders of the frames.
        progress: Called in the stages `probe` and `draw`.

    Returns:
        `[H, NUM_FRAMES * W, 3]` uint8 RGB, or the reason why the video cannot be read, by digest.
    """
    probes, failures = probe_all(videos, store_dir=store_dir, decoders=decoders, progress=progress)
    readable = [video for video in videos if video.digest in probes]
    outcomes = decoders.in_order(
        partial(_strip, size=size),
        ((video.path, probes[video.digest]) for video in readable),
        ahead=2 * decoders.workers,
    )
    strips: dict[str, Pixels | Failure] = dict(failures)
    for done, (video, outcome) in enumerate(zip(readable, outcomes, strict=True), start=1):
        strips[video.digest] = outcome
        if progress is not None:
            progress("draw", done, len(readable))
    return strips


def _strip(path: Path, probe: Probe, *, size: tuple[int, int]) -> Pixels:
    """Frames of a file side by side; runs in a worker process."""
    scaled = fitted((probe.height, probe.width), size)
    indices = spread(probe.num_frames, NUM_FRAMES)
    frames = decode(path, indices, size=scaled, decoder=probe.decoder, seek_points=probe.seek_points)
    return side_by_side(frames, size)


def fitted(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a frame of this shape that is scaled to fit into a size, with its aspect ratio."""
    factor = min(size[0] / shape[0], size[1] / shape[1])
    return max(1, round(factor * shape[0])), max(1, round(factor * shape[1]))


def side_by_side(frames: Iterable[Pixels], size: tuple[int, int]) -> Pixels:
    """Frames `[h, w, 3]` in the middle of white fields of a size, `[H, NUM_FRAMES * W, 3]`."""
    height, width = size
    strip = np.full((height, NUM_FRAMES * width, 3), 255, dtype=np.uint8)
    for number, frame in enumerate(frames):
        top, left = (height - frame.shape[0]) // 2, number * width + (width - frame.shape[1]) // 2
        strip[top : top + frame.shape[0], left : left + frame.shape[1]] = frame
    return strip


def _draw(pairs: Sequence[RelatedPair], strips: dict[str, Pixels | Failure]) -> Image.Image:
    strip_width = NUM_FRAMES * _SIZE[1]
    row_height = _SIZE[0] + _TEXT_PX + _GAP_PX // 2
    size = (2 * strip_width + 3 * _GAP_PX, max(1, len(pairs)) * row_height + _GAP_PX)
    sheet = Image.new("RGB", size, _BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, pair in enumerate(pairs):
        top = _GAP_PX // 2 + row * row_height
        found = pair.reason if pair.similarity is None else f"{pair.reason} {pair.similarity:.2f}"
        sides = (
            (pair.held_out, f"{pair.held_out.split}: {pair.held_out.id}  ({found})"),
            (pair.train, f"train: {pair.train.id}"),
        )
        for side, (video, text) in enumerate(sides):
            left = _GAP_PX + side * (strip_width + _GAP_PX)
            pen.text((left, top), printable(text), fill=_INK, font=font)
            if not isinstance(strip := strips[video.digest], Failure):
                sheet.paste(Image.fromarray(strip), (left, top + _TEXT_PX))
    return sheet
