"""Probes of many files: in worker processes, remembered by content, so that each file is checked once."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from vidcls.data.decode import Probe, decord_is_there, probe
from vidcls.data.workers import Decoders, Failure, StageProgress
from vidcls.files import disk_full, is_disk_full, write_json

_VERSION = 1
_AHEAD = 256


def probe_files(
    files: Mapping[str, Path],
    *,
    decoder: Literal["decord", "pyav"],
    store_dir: Path,
    decoders: Decoders,
    progress: StageProgress | None = None,
) -> dict[str, Probe | Failure]:
    """The probe of each file, or why it is bad, by digest.

    What lies in the file itself is remembered under `store_dir/probes`; a time limit or a dead worker is not.

    Args:
        files: Video files and folders of frames by digest of their content.
        decoder: Who is asked to serve them, see `vidcls.data.decode`.
        store_dir: Folder of stores and caches.
        decoders: Does the work.
        progress: Told about the stage `probe`.

    Raises:
        VidclsError: If the disk is full.
    """
    cache_dir = store_dir / "probes" / _decoder_versions(decoder)
    found: dict[str, Probe | Failure] = {}
    for digest in files:
        remembered = _read(_cache_file(cache_dir, digest))
        if remembered is not None:
            found[digest] = remembered
    missing = [digest for digest in files if digest not in found]
    outcomes = decoders.in_order(probe, ((files[digest], decoder) for digest in missing), ahead=_AHEAD)
    for done, (digest, outcome) in enumerate(zip(missing, outcomes, strict=True), start=1):
        if isinstance(outcome, Failure) and not outcome.lasting and decoder == "decord":
            # decord can hang or crash on a file that PyAV reads well.
            outcome = decoders.outcome(decoders.submit(probe, files[digest], "pyav"))
        if isinstance(outcome, Probe) or outcome.lasting:
            _write(_cache_file(cache_dir, digest), outcome)
        found[digest] = outcome
        if progress is not None:
            progress("probe", done, len(missing))
    return found


def _decoder_versions(decoder: str) -> str:
    """Names the folder of the cache: another release may count otherwise."""
    names = ["av"]
    if decoder == "decord" and decord_is_there():
        # decord2 installs under the same import name.
        names += [name for name in ("decord", "decord2") if _is_installed(name)]
    return "+".join([f"v{_VERSION}", *(f"{name}-{importlib.metadata.version(name)}" for name in names)])


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _cache_file(cache_dir: Path, digest: str) -> Path:
    return cache_dir / digest[:2] / f"{digest}.json"


def _read(path: Path) -> Probe | Failure | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Failure(**content) if "reason" in content else Probe(**content)
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, outcome: Probe | Failure) -> None:
    try:
        write_json(path, asdict(outcome))
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path, kept="the probes before it are kept", cause=error) from error
        raise
