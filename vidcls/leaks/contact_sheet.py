"""Contact sheet: pairs of videos side by side, with a few frames of each, for visual inspection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidcls.data.decoding.decode import Probe, decode
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.leaks.audit import RelatedPair
from vidcls.leaks.descriptors import spread
from vidcls.leaks.embeddings import probe_all
from vidcls.text import printable

_MAX_ROWS = 200
"""Maximum number of rows; a JPEG has at most 65,500 pixels per side, and more rows are no use to a reader."""
_FRAMES = 4
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
    probes, _ = probe_all(videos, store_dir=store_dir, decoders=decoders, progress=progress)
    readable = [video for video in videos if video.digest in probes]
    outcomes = decoders.in_order(
        _frames, ((video.path, probes[video.digest]) for video in readable), ahead=2 * decoders.workers
    )
    strips: dict[str, Pixels] = {}
    for done, (video, outcome) in enumerate(zip(readable, outcomes, strict=True), start=1):
        if not isinstance(outcome, Failure):
            strips[video.digest] = np.concatenate(list(outcome), axis=1)
        if progress is not None:
            progress("draw", done, len(readable))
    _draw(pairs, strips).save(path, quality=85)
    return len(pairs)


def _frames(path: Path, probe: Probe) -> Pixels:
    indices = spread(probe.num_frames, _FRAMES)
    return decode(path, indices, size=_SIZE, decoder=probe.decoder, seek_points=probe.seek_points)


def _draw(pairs: Sequence[RelatedPair], strips: dict[str, Pixels]) -> Image.Image:
    strip_width = _FRAMES * _SIZE[1]
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
            if (strip := strips.get(video.digest)) is not None:
                sheet.paste(Image.fromarray(strip), (left, top + _TEXT_PX))
    return sheet
