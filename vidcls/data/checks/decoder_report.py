"""Self-test of the installed decoders on many files, cached by content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from vidcls.data.checks.cache import ContentCache, versions
from vidcls.data.checks.selftest import Verdict, Way, compare, ways
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress

_VERSION = 2
_PACKAGES = ("av", "decord", "decord2", "opencv-python-headless", "opencv-python")
_AHEAD = 256
_VERDICTS: TypeAdapter[dict[Way, Verdict]] = TypeAdapter(dict[Way, Verdict])


def judge_decoders(
    files: Mapping[str, Path],
    *,
    store_dir: Path,
    decoders: Decoders,
    progress: StageProgress | None = None,
) -> dict[str, dict[Way, Verdict]]:
    """Verdict on each way of reading for each file, by digest.

    Args:
        files: Video files that PyAV reads to their end, by digest.
        store_dir: Folder of stores and caches.
        decoders: Worker processes; a decoder that hangs or dies on a file loses only that file.
        progress: Called in the stage `compare decoders`.

    Raises:
        VidclsError: If the disk is full.
    """
    cache = ContentCache(store_dir / "verdicts" / versions(_VERSION, _PACKAGES), _VERDICTS)
    found = {digest: verdicts for digest in files if (verdicts := cache.get(digest)) is not None}
    missing = [digest for digest in files if digest not in found]
    tasks = [(digest, way) for digest in missing for way in ways()]
    outcomes = decoders.in_order(compare, ((files[digest], way) for digest, way in tasks), ahead=_AHEAD)
    will_last = dict.fromkeys(missing, True)
    for done, ((digest, way), outcome) in enumerate(zip(tasks, outcomes, strict=True), start=1):
        if isinstance(outcome, Failure):
            will_last[digest] &= outcome.lasting
            outcome = Verdict(problem=outcome.reason)
        verdicts = found.setdefault(digest, {})
        verdicts[way] = outcome
        if len(verdicts) == len(ways()) and will_last[digest]:
            cache.put(digest, verdicts)
        if progress is not None:
            progress("compare decoders", done, len(tasks))
    return found
