"""Manifest: the checked list of videos of a data root, the same for every layout, with a hash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcls.data.digests import Progress, digest_videos, pictures_left_out
from vidcls.data.layouts import read_layout
from vidcls.data.listing.listing import LEFT_OUT_BY_SKIP, ListedVideo, Listing, Problem
from vidcls.data.splits import classes_without_videos, unusable_whole, with_val
from vidcls.data.user_dataset.manifest import read_dataset
from vidcls.data.videos import Manifest, Video
from vidcls.errors import UserError
from vidcls.spec.data import DEFAULT_MAX_BAD, DataSection

__all__ = ["Manifest", "Problem", "Video", "load_manifest", "read_manifest"]

_MAX_SHOWN = 20


def load_manifest(section: DataSection, *, cache_dir: Path, progress: Progress | None = None) -> Manifest:
    """Read the data of `section`, and refuse it if a problem prevents training.

    Under `bad_videos: skip`, up to `max_bad` videos that are missing, empty or unreadable are left out.

    Args:
        section: Data section with the root and the way to read it, or with a data set of the user.
        cache_dir: Folder of the cache of digests.
        progress: Called with (done, total) while digests are computed.

    Raises:
        UserError: If the root is unusable, a setting has no effect, or there are fatal problems (all listed).
    """
    manifest = read_manifest(section, cache_dir=cache_dir, progress=progress)
    fatal = [problem for problem in manifest.problems if problem.fatal]
    bad = [problem for problem in fatal if problem.kind in LEFT_OUT_BY_SKIP]
    if len(bad) <= section.num_bad_allowed:
        fatal = [problem for problem in fatal if problem.kind not in LEFT_OUT_BY_SKIP]
    if fatal:
        shown = [f"  {problem}" for problem in fatal[:_MAX_SHOWN]]
        if len(fatal) > _MAX_SHOWN:
            shown.append(f"  and {len(fatal) - _MAX_SHOWN} more")
        key = "root" if section.target is None else "target"
        count = "1 problem prevents" if len(fatal) == 1 else f"{len(fatal)} problems prevent"
        raise UserError(
            "\n".join([f"data.{key}: {section.source_name}: {count} training", *shown]),
            hint=_hint(section, num_bad=len(bad), only_bad=len(bad) == len(fatal)),
        )
    return manifest.with_val_joined() if section.join_val else manifest


def _hint(section: DataSection, *, num_bad: int, only_bad: bool) -> str:
    if section.target is not None:
        return f"`vidcls data doctor {section.target}` tries the data set"
    scan = f"`vidcls data scan {section.root}` shows all problems"
    if only_bad and section.bad_videos == "skip":
        return f"{scan}; data.max_bad={num_bad} would leave out {num_bad} videos"
    if only_bad:
        more = f" data.max_bad={num_bad}" if num_bad > DEFAULT_MAX_BAD else ""
        return f"{scan}; data.bad_videos=skip{more} leaves out such videos"
    return scan


def read_manifest(
    section: DataSection, *, cache_dir: Path | None, progress: Progress | None = None
) -> Manifest:
    """Read the data of `section`, record every problem and leave its video out.

    Args:
        section: Data section; `bad_videos` has no effect here.
        cache_dir: Folder of the cache of digests; None for no cache.
        progress: Called with (done, total) while digests are computed.

    Raises:
        UserError: If the root is unusable as a whole, or a setting has no effect there.
    """
    if section.target is not None:
        return read_dataset(section, cache_dir=cache_dir, progress=progress)
    root = Path(section.root)
    listing = read_layout(
        root, layout=section.layout, source=section.source, split_number=section.split_number
    )
    if section.val_fraction is not None and any(entry.split == "val" for entry in listing.entries):
        raise UserError(
            f"data.val_fraction: {section.val_fraction} has no effect here: {root} has a val split",
            hint="leave data.val_fraction out",
        )
    problems = list(listing.problems)
    entries = _listed_once(listing.entries, problems)
    videos = _digested(entries, listing, problems, cache_dir=cache_dir, progress=progress)
    problems += _same_content(videos)
    has_val = any(entry.split == "val" for entry in listing.entries)
    if not has_val:
        videos = with_val(videos, section.val_fraction, problems)
    problems += unusable_whole(videos, listing.classes, has_val=has_val)
    problems += classes_without_videos(videos, listing.classes)
    return Manifest(
        root=root,
        layout=listing.layout,
        classes=listing.classes,
        videos=tuple(sorted(videos, key=lambda video: video.id)),
        problems=tuple(problems),
        val_is_cut=not has_val,
    )


def _listed_once(entries: Sequence[ListedVideo], problems: list[Problem]) -> list[ListedVideo]:
    seen: dict[str, ListedVideo] = {}
    once: list[ListedVideo] = []
    for entry in entries:
        place = f"path {entry.path.resolve()}"
        first = seen.get(entry.id) or seen.get(place)
        if first is None:
            once.append(entry)
            seen[entry.id] = seen[place] = entry
            continue
        splits = f" ({first.split} and {entry.split})" if first.split != entry.split else ""
        problems.append(
            Problem("doubly_listed", f"{entry.id} is listed in {first.where} and {entry.where}{splits}")
        )
    return once


def _digested(
    entries: Sequence[ListedVideo],
    listing: Listing,
    problems: list[Problem],
    *,
    cache_dir: Path | None,
    progress: Progress | None,
) -> list[Video]:
    label_of = {name: label for label, name in enumerate(listing.classes)}
    digests = digest_videos([entry.files for entry in entries], cache_dir=cache_dir, progress=progress)
    problems += pictures_left_out([entry.id for entry in entries], digests)
    videos: list[Video] = []
    for entry, digest in zip(entries, digests, strict=True):
        if digest.failure is not None:
            source = f" ({entry.where})" if entry.where != entry.id else ""
            problems.append(Problem(digest.failure, f"{entry.id}{source}: {digest.place} {digest.reason}"))
            continue
        label = label_of[entry.label]
        shared = (entry.path, label, entry.split, entry.group, digest.hex, entry.flows, entry.has_frames)
        videos.append(Video(entry.id, *shared))
    return videos


def _same_content(videos: Sequence[Video]) -> Iterator[Problem]:
    by_digest: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        by_digest[video.digest].append(video)
    for same in by_digest.values():
        if len(same) > 1:
            names = ", ".join(f"{video.id} [{video.split}]" for video in same)
            yield Problem("same_content", f"{names} are identical files")
