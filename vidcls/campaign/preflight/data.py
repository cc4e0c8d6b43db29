"""Checks of the data: does it exist, is it the data of earlier runs, does it leak, is its store built?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vidcls.campaign.preflight.finding import Candidate, FindingState, PreflightFinding, PreflightRequest, gb
from vidcls.data.checks.probe import known_probes
from vidcls.data.checks.short_videos import frame_counts, repeats
from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.workers import Failure, StageProgress
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.data.store.estimate import Outlook, outlook
from vidcls.errors import UserError, VidclsError
from vidcls.leaks.run_state import audit_command, leak_warning
from vidcls.leaks.state import leak_state
from vidcls.locking.holder import how_to_end
from vidcls.locking.lock import holder_of
from vidcls.models.inputs import input_clip
from vidcls.process.cores import usable_cores
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.spec.data import DEFAULT_MAX_BAD, DataSection
from vidcls.spec.fingerprint import fingerprint
from vidcls.spec.sections import Clip

Manifests = Mapping[DataSection, Manifest]


def load_manifests(
    candidates: Sequence[Candidate], *, progress: StageProgress
) -> tuple[dict[DataSection, Manifest], list[PreflightFinding]]:
    """Manifest of each usable data section, and findings about the others."""
    manifests: dict[DataSection, Manifest] = {}
    findings: list[PreflightFinding] = []
    for candidate in candidates:
        data = candidate.spec.data
        if data in manifests:
            continue
        try:
            with candidate.loaded.error_context():
                manifest = load_manifest(
                    data,
                    cache_dir=Path(candidate.spec.store_dir),
                    progress=lambda done, total: progress("read files", done, total),
                )
        except UserError as error:
            findings.append(PreflightFinding.of("data", error))
            break  # the others would give the same finding
        manifests[data] = manifest
        counts = ", ".join(f"{len(manifest.split(split))} {split}" for split in ("train", "val"))
        found = f"{manifest.root}: {counts} videos, {manifest.num_classes} classes"
        findings.append(PreflightFinding("data", "ok", found))
    return manifests, findings


def check_lengths(asked: PreflightRequest, manifests: Manifests) -> Iterator[PreflightFinding]:
    """Check whether clips need more frames than videos have; for a sweep, the longest clip."""
    clips: dict[DataSection, Clip] = {}
    for candidate in asked.candidates:
        spec = candidate.spec
        clip = input_clip(spec.model, spec.clip)
        if spec.data not in clips or clip.frames > clips[spec.data].frames:
            clips[spec.data] = clip
    for data, clip in clips.items():
        if data not in manifests:
            continue
        store_dir = Path(asked.first.store_dir)
        counts = frame_counts(manifests[data].training, data=data, store_dir=store_dir)
        if (found := repeats(counts, clip)) is not None:
            todo = "lower clip.frames to repeat fewer frames; vidcls data scan shows the numbers of frames"
            yield PreflightFinding("frames", "warning", found, todo)


def check_leaks(asked: PreflightRequest, manifests: Manifests) -> Iterator[PreflightFinding]:
    """Report the leak state of the data, on which the meaning of accuracies depends."""
    for data, manifest in manifests.items():
        spec = asked.first.model_copy(update={"data": data})
        state = leak_state(manifest, store_dir=Path(spec.store_dir))
        warning = leak_warning(state, spec)
        if warning is not None:
            found, _, todo = warning.partition("\n")
            yield PreflightFinding("leaks", "warning", f"{state}: {found}", todo.strip())
        elif state.kind == "unknown":
            found = "it is not known whether this data leaks"
            yield PreflightFinding("leaks", "warning", found, audit_command(spec))
        else:
            yield PreflightFinding("leaks", "ok", str(state))


def check_earlier(asked: PreflightRequest, manifests: Manifests) -> Iterator[PreflightFinding]:
    """Check whether earlier runs used the same data, and whether this run already exists."""
    spec, manifest = asked.first, manifests[asked.first.data]
    folder = asked.plan.folder.runs_dir if asked.plan else Path(spec.runs_dir) / spec.name
    place = spec.data.place
    earlier = [run for run in find_runs(folder) if _saw(run, place)]
    other = [run for run in earlier if run.provenance()["manifest"]["hash"] != manifest.hash]
    if other and spec.data.with_root(place) in _sections(other, place):
        many = f"{len(other)} of {len(earlier)} earlier runs" if len(earlier) > 1 else str(other[0].folder)
        todo = f"vidcls data scan {spec.data.source_name} shows the data; restore it, or set another name"
        yield PreflightFinding(
            "unchanged", "warning", f"the data is not the same as in {many}, so no run is resumed", todo
        )
    elif earlier:
        yield PreflightFinding("unchanged", "ok", f"the data is the same as in {len(earlier)} earlier runs")
    if asked.plan is None and len(asked.candidates) == 1:
        yield from _this_run(asked, Run.at(spec, fingerprint(spec, manifest.hash)))


def _saw(run: Run, place: str) -> bool:
    try:
        return str(run.provenance()["data_root"]) == place
    except VidclsError:  # from an interrupted start
        return False


def _sections(runs: Sequence[Run], place: str) -> Iterator[DataSection]:
    for run in runs:
        with contextlib.suppress(VidclsError):  # written by another version of vidcls
            yield run.spec().data.with_root(place)


def _this_run(asked: PreflightRequest, run: Run) -> Iterator[PreflightFinding]:
    status = run.status() if run.spec_file.is_file() else None
    if status is None or asked.begins_anew:
        return
    if status.state == "finished":
        todo = "give --restart to train it again, or seed=1 to train another run"
        yield PreflightFinding(
            "run", "warning", f"{run.folder}: finished already, so the job would end at once", todo
        )
        return
    if run.state == "running":
        holder = holder_of(run.lock_file)
        found = f"{run.folder}: {holder or 'another process'} is training this run now"
        yield PreflightFinding("run", "warning", found, how_to_end(holder))
        return
    if changes := run.changes_since():
        todo = (
            "give --accept-code to continue with what is installed now, or --restart to move this run "
            "aside and start again"
        )
        yield PreflightFinding(
            "run", "error", f"{run.folder}: changed since this run began: {', '.join(changes)}", todo
        )
    else:
        found = f"{run.folder}: will continue after epoch {status.epoch} of {status.num_epochs}"
        yield PreflightFinding("run", "ok", found)


def outlooks(candidates: Sequence[Candidate], manifests: Manifests) -> list[Outlook]:
    """Estimate of each store that would be read."""
    found: dict[object, Outlook] = {}
    known: dict[DataSection, dict[str, Probe | Failure]] = {}
    for candidate in candidates:
        spec, store_dir = candidate.spec, Path(candidate.spec.store_dir)
        clip = input_clip(spec.model, spec.clip)
        if (spec.data, clip) in found or spec.data.target is not None:
            continue
        manifest = manifests[spec.data]
        if spec.data not in known:
            digests = {video.digest for video in manifest.training}
            known[spec.data] = known_probes(digests, decoder=spec.data.decoder, store_dir=store_dir)
        stores = outlook(manifest.training, known=known[spec.data], clip=clip, store_dir=store_dir)
        found[spec.data, clip] = stores
    # Sections that differ only in settings outside of the store, such as the mean, share a store.
    return list({stores.path: stores for stores in found.values()}.values())


def check_stores(
    asked: PreflightRequest, stores: Sequence[Outlook], *, seconds_each: float
) -> Iterator[PreflightFinding]:
    """Check whether the stores are built, or can be built, and how long that takes.

    Args:
        asked: Request of the preflight.
        stores: Estimate of the store of every candidate.
        seconds_each: Seconds to decode one video, by all workers together.
    """
    data = asked.first.data
    if data.target is not None:
        yield PreflightFinding("store", "ok", "none: data.target makes its clips anew in each epoch")
        return
    if bad := max((store.num_bad for store in stores), default=0):
        state: FindingState = "warning" if bad <= data.num_bad_allowed else "error"
        leaves = "data.bad_videos=skip" + (f" data.max_bad={bad}" if bad > DEFAULT_MAX_BAD else "")
        todo = f"vidcls data check {data.root} lists them; set {leaves} to leave them out"
        yield PreflightFinding("videos", state, f"{bad} videos are known to be unreadable", todo)
    if data.residency == "streamed":
        yield PreflightFinding(
            "store", "ok", "none, because data.residency is streamed: videos are decoded when they are read"
        )
        return
    missing = [store for store in stores if not store.is_built]
    size = sum(store.num_bytes for store in stores)
    if not missing:
        yield PreflightFinding("store", "ok", f"built, {gb(size)}")
        return
    takes = sum(store.num_videos for store in missing) * seconds_each
    many = f"{len(missing)} of {len(stores)} " if len(stores) > 1 else ""
    cores = data.workers if data.workers != "auto" else usable_cores()
    found = f"{many}not built yet: about {gb(sum(store.num_bytes for store in missing))}; the first training"
    found += f" needs about {takes:.0f} s for it with {cores} processes"
    yield PreflightFinding("store", "ok", found)
