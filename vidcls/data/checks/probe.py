"""Inspects many files in worker processes; results are cached by content, so each is inspected once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from vidcls.data.checks.cache import ContentCache, versions
from vidcls.data.checks.inspect import Inspection, inspect_all
from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress

_VERSION = 6
_AHEAD = 256
_OUTCOME: TypeAdapter[Inspection | Failure] = TypeAdapter(Inspection | Failure)


def probe_files(
    files: Mapping[str, Files],
    *,
    decoder: Literal["decord", "pyav"],
    store_dir: Path,
    decoders: Decoders,
    progress: StageProgress | None = None,
) -> dict[str, Probe | Failure]:
    """Probe of each file, or why it is bad, by digest; see `inspect_files`."""
    outcomes = inspect_files(
        files, decoder=decoder, store_dir=store_dir, decoders=decoders, progress=progress
    )
    return {
        digest: outcome.probe if isinstance(outcome, Inspection) else outcome
        for digest, outcome in outcomes.items()
    }


def inspect_files(
    files: Mapping[str, Files],
    *,
    decoder: Literal["decord", "pyav"],
    store_dir: Path,
    decoders: Decoders,
    progress: StageProgress | None = None,
) -> dict[str, Inspection | Failure]:
    """Inspection of each file, or why it is bad, by digest.

    Results that depend on the file alone are cached under `store_dir/probes`, but not a time limit or a dead
    worker.

    Args:
        files: Files of each video, by digest of its content.
        decoder: Preferred decoder, see `inspect`.
        store_dir: Folder of stores and caches.
        decoders: Worker processes that decode.
        progress: Called in the stage `probe`.

    Raises:
        VidclsError: If the disk is full.
    """
    cache = _cache(store_dir, decoder)
    found: dict[str, Inspection | Failure] = {}
    for digest in files:
        remembered = cache.get(digest)
        if remembered is not None:
            found[digest] = remembered
    missing = [digest for digest in files if digest not in found]
    outcomes = decoders.in_order(inspect_all, ((files[digest], decoder) for digest in missing), ahead=_AHEAD)
    for done, (digest, outcome) in enumerate(zip(missing, outcomes, strict=True), start=1):
        if isinstance(outcome, Failure) and not outcome.lasting and decoder == "decord":
            # decord can hang or crash on a file that PyAV reads well.
            outcome = decoders.outcome(decoders.submit(inspect_all, files[digest], "pyav"))
        if isinstance(outcome, Inspection) or outcome.lasting:
            cache.put(digest, outcome)
        found[digest] = outcome
        if progress is not None:
            progress("probe", done, len(missing))
    return found


def known_probes(
    digests: Collection[str], *, decoder: Literal["decord", "pyav"], store_dir: Path
) -> dict[str, Probe | Failure]:
    """Cached probes of files, by digest; no file is read."""
    cache = _cache(store_dir, decoder)
    found = {digest: cache.get(digest) for digest in digests}
    return {
        digest: outcome.probe if isinstance(outcome, Inspection) else outcome
        for digest, outcome in found.items()
        if outcome is not None
    }


def _cache(store_dir: Path, decoder: Literal["decord", "pyav"]) -> ContentCache[Inspection | Failure]:
    # The package decord2 installs under the same import name.
    packages = ("av", "decord", "decord2") if decoder == "decord" else ("av",)
    return ContentCache(store_dir / "probes" / versions(_VERSION, packages), _OUTCOME)
