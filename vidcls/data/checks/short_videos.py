"""Warns about videos with fewer frames than a clip needs, whose frames repeat, before a training starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vidcls.data.checks.probe import known_probes
from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.frame_folders import look_into
from vidcls.data.decoding.readers import Decoder
from vidcls.data.manifest import Video
from vidcls.data.modality import num_moments
from vidcls.data.scan import Header, try_header
from vidcls.spec.data import DataSection
from vidcls.spec.sections import Clip

_WHAT = {"rgb": "frames", "flow": "flow fields", "difference": "differences"}


def frame_counts(videos: Sequence[Video], *, data: DataSection, store_dir: Path) -> dict[str, Probe]:
    """Length of each video, by id: from its cached inspection, otherwise from its header.

    Args:
        videos: Videos of one data set; those without a length in the header, and items of a data set of the
            user, are left out.
        data: Data section, which defines how files are read.
        store_dir: Folder of stores and caches.
    """
    if data.target is not None:
        return {}
    known = known_probes({video.digest for video in videos}, decoder=data.decoder, store_dir=store_dir)
    new = [video for video in videos if video.digest not in known]
    counts = {video.id: probe for video in videos if isinstance(probe := known.get(video.digest), Probe)}
    with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as pool:
        for video, header in zip(new, pool.map(lambda video: try_header(video.files), new), strict=True):
            if isinstance(header, Header) and header.num_frames:
                counts[video.id] = _as_probe(video, header, header.num_frames)
    return counts


def _as_probe(video: Video, header: Header, num_frames: int) -> Probe:
    frames, flows = video.files
    folder = frames or flows
    only_fields = folder is not None and folder.is_dir() and (frames is None or look_into(folder).only_fields)
    num_fields = len(look_into(flows).fields) if frames is not None and flows is not None else None
    decoder: Decoder = "fields" if only_fields else "pyav"
    return Probe(num_frames, header.height, header.width, header.fps, decoder, num_fields=num_fields)


def repeats(counts: Mapping[str, Probe], clip: Clip) -> str | None:
    """Warning if clips repeat frames of short videos; None if no clip does.

    Args:
        counts: Result of `frame_counts`.
        clip: Clip section with the number of frames (T) and the modality.
    """
    moments = {key: num_moments(probe, clip) for key, probe in counts.items()}
    short = [key for key, num in moments.items() if 0 < num < clip.frames]
    if not short:
        return None
    what = _WHAT[clip.parts[-1]]
    shortest = min(short, key=lambda key: moments[key])
    return (
        f"clip.frames: {clip.frames}, but {len(short)} of {len(moments)} videos have fewer {what}"
        f" (the fewest: {moments[shortest]} in {shortest}), which are repeated in their clips"
    )
