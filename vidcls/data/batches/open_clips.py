"""Opens the clips of a set of videos; the returned `Clips` gives batches."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from vidcls.choices import Auto, Residency
from vidcls.data.batches.clips import Clips
from vidcls.data.checks.probe import probe_files
from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.data.manifest import Video
from vidcls.data.modality import unfit
from vidcls.data.store.build import Store
from vidcls.data.store.residency import FrameSource, StoredFrames, Streamed, choose_stored
from vidcls.errors import VidclsError
from vidcls.process.cores import usable_cores
from vidcls.spec.data import DataSection
from vidcls.spec.sections import Clip


def open_clips(
    videos: Sequence[Video],
    *,
    data: DataSection,
    clip: Clip,
    store_dir: Path,
    device: torch.device,
    classes: Sequence[str] = (),
    report_bad: bool = False,
    progress: StageProgress | None = None,
) -> Clips:
    """Probe the videos, build or open their store, and choose its residency.

    Args:
        videos: Videos with digests: all that a run may read (train and val), as they share a store.
        data: Data section with decoder, time limit, residency, and the rule for bad videos.
        clip: Clip section with frames and size.
        store_dir: Folder of stores and caches.
        device: Device of the batches.
        classes: Class names by label; required for training, where a flip may change the label.
        report_bad: Collect bad videos in `Clips.bad`, also those that fail later, instead of raising.
        progress: Called with (stage, done, total).

    Raises:
        VidclsError: If there are bad videos under `bad_videos: error`, or more than `max_bad` (all are
            listed); or if the disk or the memory is too small for the request.
    """
    workers = usable_cores() if data.workers == "auto" else data.workers
    decoders = Decoders(workers=workers, timeout_s=data.timeout_s)
    with contextlib.ExitStack() as on_error:
        on_error.callback(decoders.close)
        files = {video.digest: video.files for video in videos}
        outcomes = probe_files(
            files, decoder=data.decoder, store_dir=store_dir, decoders=decoders, progress=progress
        )
        probes, reasons = _sort_out(outcomes, clip)
        bad = {video.id: reasons[video.digest] for video in videos if video.digest in reasons}
        if not report_bad:
            _judge(bad, videos, data)
        store = Store(store_dir, probes=probes, clip=clip)
        residency = _residency(store, data.residency, device)
        source: FrameSource = Streamed(probes=probes, clip=clip, decoders=decoders)
        if residency != "streamed":
            store.build(files, decoders=decoders, progress=progress)
            decoders.close()
            source = StoredFrames(store, residency=residency, device=device, progress=progress)
        on_error.pop_all()
    return Clips(
        source,
        residency=residency,
        probes=probes,
        bad=bad,
        decoders={video.id: probes[video.digest].decoder for video in videos if video.id not in bad},
        data=data,
        clip=clip,
        classes=classes,
        device=device,
        report_bad=report_bad,
        close=decoders.close,
    )


def _sort_out(outcomes: Mapping[str, Probe | Failure], clip: Clip) -> tuple[dict[str, Probe], dict[str, str]]:
    """Split outcomes into probes of usable videos and reasons why the others are unusable, by digest."""
    probes: dict[str, Probe] = {}
    reasons: dict[str, str] = {}
    for digest, outcome in outcomes.items():
        if isinstance(outcome, Failure):
            reasons[digest] = outcome.reason
        elif (why := unfit(outcome, clip)) is not None:
            reasons[digest] = why
        else:
            probes[digest] = outcome
    return probes, reasons


def _residency(store: Store, asked: Auto | Residency, device: torch.device) -> Residency:
    if asked != "auto":
        return asked
    if not store.fits_disk():
        return "streamed"
    return choose_stored(store, device)


def _judge(bad: Mapping[str, str], videos: Sequence[Video], data: DataSection) -> None:
    """Raise if there are more bad videos than `data` allows."""
    allowed = data.num_bad_allowed
    if len(bad) <= allowed:
        return
    listed = [f"  {video.path}: {bad[video.id]}" for video in videos if video.id in bad]
    over = f", more than data.max_bad: {allowed}" if allowed else ""
    hint = (
        f"data.max_bad={len(bad)} leaves out these videos"
        if allowed
        else "data.bad_videos=skip leaves out these videos"
    )
    raise VidclsError(
        "\n".join([f"{len(bad)} of {len(videos)} videos cannot be decoded{over}:", *listed]),
        hint=f"vidcls data check {data.root} checks all videos; {hint}",
    )
