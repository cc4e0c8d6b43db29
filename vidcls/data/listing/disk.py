"""Looks up the videos below a folder by the paths in a table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from vidcls.choices import Split
from vidcls.data.listing.files import counted, find_videos, without_video_suffix
from vidcls.data.listing.listing import SPLIT_NAMES, Problem

_MAX_SHOWN = 3


class Disk:
    """Videos below a folder, looked up by the paths in a table.

    A path that does not exist as written is searched without regard to case and suffix: tables and files
    differ in case (HandStandPushups), and files are re-encoded or cut into frames. A note reports videos
    found with another case or the suffix of another video format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._others: list[Path] = []
        videos = find_videos(folder, others=self._others)
        self._found = {path.relative_to(folder).as_posix(): path for path in videos}
        self._loose: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in self._found:
            loose = _loose(name)
            self._loose[loose].append(name)
            self._by_stem[loose.rpartition("/")[2]].append(name)
        self._taken: set[str] = set()
        self._respelt: list[str] = []

    def take(self, written: str, *, where: str) -> Path:
        """Path of the video at `written`; if there is none, the path at which it was expected.

        Args:
            written: Path below the folder.
            where: Position of the entry, `file:line`.
        """
        candidates = self._loose.get(_loose(written), [])
        name = written if written in self._found or len(candidates) != 1 else candidates[0]
        return self._take(name, written, where=where)

    def find(self, written: str, *, where: str, split: Split | None = None) -> Path | Problem:
        """Find the only video whose path ends in `written`, anywhere below the folder.

        Args:
            written: End of a path, with or without the suffix of a video file.
            where: Position of the entry, `file:line`.
            split: Split, which selects among several videos by the name of their folder.

        Returns:
            Path of the video; a problem if there is none, or more than one.
        """
        loose = _loose(written)
        names = [
            name
            for name in self._by_stem.get(loose.rpartition("/")[2], [])
            if f"/{_loose(name)}".endswith(f"/{loose}")
        ]
        for fits in (
            lambda name: f"/{name}".endswith(f"/{written}"),
            lambda name: name == written,
            lambda name: split in {SPLIT_NAMES.get(part.lower()) for part in PurePosixPath(name).parts[:-1]},
        ):
            names = [name for name in names if fits(name)] or names
        if len(names) > 1:
            self._taken.update(names)
            shown = ", ".join(names[:_MAX_SHOWN]) + (", ..." if len(names) > _MAX_SHOWN else "")
            return Problem(
                "two_files", f"{where}: {written} fits {len(names)} videos: {shown}; keep only one of them"
            )
        if not names and not (self.folder / written).exists():
            return Problem("missing", f"{where}: no video in {self.folder} has the name {written}")
        return self._take(names[0] if names else written, written, where=where)

    def leave(self, written: str) -> None:
        """Record that a table lists `written` as an unused video, so that it does not count as extra."""
        stem = _loose(written).rpartition("/")[2]
        self._taken.update(self._by_stem.get(stem, ()))

    def _take(self, name: str, written: str, *, where: str) -> Path:
        self._taken.add(name)
        path = self._found.get(name, self.folder / written)
        if name in self._found and not _same_spelling(name, written):
            self._respelt.append(f"{written} ({where}) is {name}")
        return path

    def problems(self, root: Path, *, tables: Collection[Path] = ()) -> Iterator[Problem]:
        """Warnings on videos without a row, notes on other spellings and on files that are not videos.

        Args:
            root: Folder to which paths in messages are relative.
            tables: Files that list the videos; they are not reported.
        """
        if self._respelt:
            shown = "; ".join(self._respelt[:_MAX_SHOWN]) + (
                "; ..." if len(self._respelt) > _MAX_SHOWN else ""
            )
            yield Problem(
                "spelling",
                f"{len(self._respelt)} paths differ in upper and lower case or in the ending from those on "
                f"disk: {shown}",
            )
        for name, path in self._found.items():
            if name not in self._taken:
                yield Problem("extra", f"{path.relative_to(root).as_posix()} is on disk but not listed")
        if others := [path for path in self._others if path not in tables]:
            yield Problem("not_a_video", counted(others, root=root))


def _loose(name: str) -> str:
    return without_video_suffix(name).casefold()


def _same_spelling(name: str, written: str) -> bool:
    """Whether two paths agree in case, and in the suffix if both have that of a video file."""
    bare_name, bare_written = without_video_suffix(name), without_video_suffix(written)
    if not f"/{bare_name}".endswith(f"/{bare_written}"):
        return False
    endings = {name[len(bare_name) :], written[len(bare_written) :]} - {""}
    return len(endings) < 2


def annotation_folders(root: Path) -> list[Path]:
    """Folders that may hold the lists of a data set: the root, and folders in it with a name for lists."""
    inner = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [root, *(path for path in inner if re.search("annotation|split|list|label", path.name.lower()))]


class NearPaths:
    """Finds files that a table misspells in case, suffix or slashes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, tuple[str, ...]] = {}

    def find(self, written: str) -> tuple[str, str] | None:
        """Find the only path that differs from `written` in nothing but case, suffix or slashes.

        Returns:
            Correct path, and a description of the difference; None if there is no such path.
        """
        near = self._below("", written)
        return near or (self._below("/", written) if written.startswith("/") else None)

    def _below(self, start: str, written: str) -> tuple[str, str] | None:
        parts = [part for part in re.split(r"[/\\]+", written) if part not in ("", ".")]
        found = [start] if parts else []
        for depth, part in enumerate(parts, start=1):
            last = depth == len(parts)
            found = [f"{inner}{name}/" for inner in found for name in self._fitting(inner, part, last=last)]
        if len(found) != 1:
            return None
        near, plain = found[0].rstrip("/"), start + "/".join(parts)
        bare = without_video_suffix(plain)
        differences = {
            "slashes": plain != written,
            "case": bare not in (near, without_video_suffix(near)),
            "ending": Path(plain).suffix.lower() != Path(near).suffix.lower(),
        }
        return near, " and ".join(word for word, differs in differences.items() if differs) or "case"

    def _fitting(self, inner: str, part: str, *, last: bool) -> list[str]:
        if part == "..":
            return [part]
        if inner not in self._names:
            try:
                self._names[inner] = tuple(path.name for path in (self._folder / inner).iterdir())
            except OSError:
                self._names[inner] = ()
        names = self._names[inner]
        same = [name for name in names if name == part]
        same = same or [name for name in names if name.casefold() == part.casefold()]
        if same or not last:
            return same
        return [name for name in names if _loose(name) == _loose(part)]
