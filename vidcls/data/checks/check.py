"""Checks a data root: decodes every video once, in order, and reports findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vidcls.data.checks.findings import SEVERITIES, Severity, VideoFinding, findings
from vidcls.data.checks.inspect import Inspection
from vidcls.data.checks.probe import inspect_files
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.data.digests import digest_videos
from vidcls.data.layouts import UnknownLayoutError
from vidcls.data.listing.files import find_videos
from vidcls.data.listing.listing import LEFT_OUT_BY_SKIP
from vidcls.data.manifest import Problem, read_manifest
from vidcls.spec.data import DataSection


@dataclass(frozen=True)
class Checked:
    """Checked video.

    Attributes:
        id: Readable key.
        path: Video file or folder of frames.
        digest: Digest of its content.
        split: Split of the video; empty if there is no layout.
    """

    id: str
    path: Path
    digest: str
    split: str


@dataclass(frozen=True)
class Check:
    """Result of decoding all videos of a root.

    Attributes:
        root: Root that was checked.
        layout: Name of its layout; `files` if it has no layout for training.
        videos: Videos with content, by id.
        outcomes: Inspection or failure of each video, by digest.
        findings: Findings, most severe first.
    """

    root: Path
    layout: str
    videos: tuple[Checked, ...]
    outcomes: Mapping[str, Inspection | Failure]
    findings: tuple[VideoFinding, ...]

    @property
    def has_errors(self) -> bool:
        """Whether some videos cannot be used."""
        return any(finding.severity == "error" for finding in self.findings)

    @property
    def is_fine(self) -> bool:
        """Whether there are only notes."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def good(self) -> list[Checked]:
        """Videos that can be decoded."""
        return [video for video in self.videos if isinstance(self.outcomes[video.digest], Inspection)]

    @property
    def good_files(self) -> dict[str, Path]:
        """Video files that FFmpeg can decode, by digest, without folders of frames."""
        return {
            video.digest: video.path
            for video in self.good
            if isinstance(seen := self.outcomes[video.digest], Inspection) and seen.probe.decoder == "pyav"
        }

    def counts(self) -> dict[Severity, int]:
        """Number of findings of each severity."""
        count = Counter(finding.severity for finding in self.findings)
        return {severity: count[severity] for severity in SEVERITIES}

    def as_dict(self) -> dict[str, Any]:
        """All results as plain values for JSON."""
        return {
            "root": str(self.root),
            "layout": self.layout,
            "num_videos": len(self.videos),
            "num_good": len(self.good),
            "counts": self.counts(),
            "findings": [{**asdict(finding), "advice": finding.advice} for finding in self.findings],
            "videos": {
                video.id: {"path": str(video.path), **_outcome_dict(self.outcomes[video.digest])}
                for video in self.videos
            },
        }


def check(root: Path, *, store_dir: Path, decoders: Decoders, progress: StageProgress | None = None) -> Check:
    """Decode every video of `root` in order, except those with a cached result.

    Args:
        root: Data root, CSV manifest, any folder with videos, or one file.
        store_dir: Folder of the caches.
        decoders: Worker processes that decode.
        progress: Called in the stages `read files` and `probe`.

    Raises:
        UserError: If the root is unusable as a whole.
        VidclsError: If the disk is full.
    """
    digested = partial(progress, "read files") if progress is not None else None
    try:
        manifest = read_manifest(DataSection(root=str(root)), cache_dir=store_dir, progress=digested)
        layout = manifest.layout
        videos = [Checked(video.id, video.path, video.digest, video.split) for video in manifest.videos]
        found = [finding for problem in manifest.problems for finding in _of_problem(problem)]
    except UnknownLayoutError:
        paths = _files(root)
        if not paths:
            raise
        layout = "files"
        videos, found = _bare(root, paths, cache_dir=store_dir, progress=digested)
    files = {video.digest: Files(video.path) for video in videos}
    outcomes = inspect_files(files, decoder="pyav", store_dir=store_dir, decoders=decoders, progress=progress)
    for video in videos:
        found += findings(video.id, outcomes[video.digest])
    found += _duplicates(videos)
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Check(root, layout, tuple(videos), outcomes, tuple(found))


def _files(root: Path) -> list[Path]:
    return [root] if root.is_file() else list(find_videos(root))


def _bare(
    root: Path, paths: Sequence[Path], *, cache_dir: Path, progress: Any
) -> tuple[list[Checked], list[VideoFinding]]:
    """Videos of a root without a layout, and findings about files that cannot be used."""
    digests = digest_videos([Files(path) for path in paths], cache_dir=cache_dir, progress=progress)
    videos: list[Checked] = []
    found: list[VideoFinding] = []
    for path, digest in zip(paths, digests, strict=True):
        key = path.relative_to(root).as_posix() if path != root else path.name
        if digest.failure is None:
            videos.append(Checked(key, path, digest.hex, ""))
        else:
            kind: Any = digest.failure
            found.append(VideoFinding(kind, "error", key, digest.reason))
    return videos, found


def _of_problem(problem: Problem) -> Iterator[VideoFinding]:
    if problem.kind == "same_content":  # reported below, for any root
        return
    severity: Severity = "error" if problem.fatal else "note" if problem.note else "warning"
    kind: Any = problem.kind if problem.kind in LEFT_OUT_BY_SKIP else "data"
    yield VideoFinding(kind, severity, "", problem.message)


def _duplicates(videos: Iterable[Checked]) -> Iterator[VideoFinding]:
    by_digest: dict[str, list[Checked]] = defaultdict(list)
    for video in videos:
        by_digest[video.digest].append(video)
    for first, *others in by_digest.values():
        if others:
            names = ", ".join(f"{video.id} [{video.split}]" if video.split else video.id for video in others)
            splits = {first.split, *(video.split for video in others)}
            across = f", across {' and '.join(sorted(splits))}" if len(splits) > 1 else ""
            yield VideoFinding("duplicate", "warning", first.id, f"is the same file as {names}{across}")


def _outcome_dict(outcome: Inspection | Failure) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        return {"failure": asdict(outcome)}
    values = asdict(outcome)
    probe = values.pop("probe")
    return {**probe, **values}
