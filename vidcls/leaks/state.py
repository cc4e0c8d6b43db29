"""Leak state: whether held-out videos have relatives in train; it must accompany every accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from vidcls.choices import Split
from vidcls.data.manifest import Manifest, Video
from vidcls.data.sharing import HELD_OUT, shares_by
from vidcls.files import write_json
from vidcls.json_files import DamagedError, read_json
from vidcls.run.shapes import LEAKS

LeakKind = Literal["leaky", "clean", "unknown"]
By = Literal["group", "name", "content", "none"]
_VERSION = 2  # increased when an audit may give another result


@dataclass(frozen=True)
class LeakState:
    """Whether videos of val and test are related to videos of train.

    Attributes:
        kind: Kind of state; `unknown` without groups for all videos and without `vidcls data audit`.
        shares: For val and test, if not empty: number of videos with a relative in train, and number of
            videos. Empty if the state is unknown.
        by: Method that found the relatives; `none` if the state is unknown.
        is_partial: Whether only some of the videos were searched for relatives; then there may be more than
            were found.
    """

    kind: LeakKind
    shares: Mapping[Split, tuple[int, int]]
    by: By
    is_partial: bool = False

    @classmethod
    def of(cls, shares: Mapping[Split, tuple[int, int]], *, by: By) -> Self:
        """Leak state of data in which all videos were searched for relatives."""
        return cls("leaky" if any(num for num, _ in shares.values()) else "clean", dict(shares), by)

    @property
    def num_related(self) -> int:
        """Number of val and test videos with a relative in train."""
        return sum(num for num, _ in self.shares.values())

    def of_split(self, split: Split) -> str:
        """State for the accuracy on one split: `leaky 92 %`, `clean` or `unknown`."""
        num, total = self.shares.get(split, (0, 0))
        if self.kind != "leaky":
            return self.kind
        if not num:
            return "unknown" if self.is_partial else "clean"
        return f"leaky {_percent(num, total)}{self._or_more}"

    def __str__(self) -> str:
        """`leaky 92 %` (of the val videos), `clean` or `unknown`; `leaky test 90 %` if only test leaks."""
        leaking = next((split for split in HELD_OUT if self.shares.get(split, (0, 0))[0]), None)
        if self.kind != "leaky" or leaking is None:
            return self.kind
        which = "" if leaking == "val" else f"{leaking} "
        return f"leaky {which}{_percent(*self.shares[leaking])}{self._or_more}"

    @property
    def _or_more(self) -> str:
        return " or more" if self.is_partial else ""

    def as_dict(self) -> dict[str, Any]:
        """All attributes as plain values for JSON."""
        shares = {split: {"related": num, "videos": total} for split, (num, total) in self.shares.items()}
        return {
            "state": str(self),
            "kind": self.kind,
            "by": self.by,
            "shares": shares,
            "is_partial": self.is_partial,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild a state from `as_dict`.

        Raises:
            KeyError: If a key is missing.
            TypeError: If a value has the wrong type.
        """
        shares = {split: (share["related"], share["videos"]) for split, share in content["shares"].items()}
        return cls(content["kind"], shares, content["by"], content["is_partial"])


UNKNOWN = LeakState("unknown", {}, "none")


def leak_state(manifest: Manifest, *, store_dir: Path) -> LeakState:
    """Known leak state of a manifest, without reading its videos.

    It uses groups if every video has one, and the result that `vidcls data audit` stored under `store_dir`
    for exactly these videos. A shared group, or the same file twice, is always a leak.

    Args:
        manifest: Manifest of the data.
        store_dir: Folder of stores and caches.
    """
    known = LeakState.of(shares_by(manifest, group_keys), by="group")
    if any(video.group is None for video in manifest.videos):
        known = replace(known, is_partial=True) if known.kind == "leaky" else UNKNOWN
    found = audited(manifest.hash, store_dir=store_dir)
    return weighed(known, found if not manifest.joined else joined_state(found))


def joined_state(found: LeakState | None) -> LeakState | None:
    """What an audit says once val videos are train videos: it did not compare test with val.

    Args:
        found: Result of the audit.
    """
    if found is None or "test" not in found.shares or not found.shares["test"][0]:
        return None
    return LeakState("leaky", {"test": found.shares["test"]}, found.by, is_partial=True)


def weighed(known: LeakState, found: LeakState | None) -> LeakState:
    """Combine the state known without an audit and the result of an audit: the one with more leaks counts.

    Args:
        known: State from groups, or recorded earlier.
        found: Result of an audit; None if there was none.
    """
    if found is None or found.num_related < known.num_related:
        return known
    is_settled = known.kind != "unknown" and not known.is_partial
    return known if is_settled and found.num_related == known.num_related else found


def group_keys(video: Video) -> Iterable[str]:
    """Keys that a video shares with its known relatives: its group, and its digest with exact copies."""
    return ([f"group {video.group}"] if video.group is not None else []) + [f"bytes {video.digest}"]


def remember(state: LeakState, *, store_dir: Path, manifest_hash: str) -> None:
    """Store the result of an audit, for `leak_state`; an earlier result with more leaks is kept.

    Raises:
        OSError: If the result cannot be written.
    """
    before = audited(manifest_hash, store_dir=store_dir)
    if before is None or before.num_related <= state.num_related:
        write_json(_file(store_dir, manifest_hash), state.as_dict())


def audited(manifest_hash: str, *, store_dir: Path) -> LeakState | None:
    """Stored result of an audit of exactly these videos; None if there is none."""
    try:
        return LeakState.from_dict(read_json(_file(store_dir, manifest_hash), LEAKS, hint="audit it again"))
    except (FileNotFoundError, DamagedError):
        return None


def _file(store_dir: Path, manifest_hash: str) -> Path:
    return store_dir / "audits" / f"v{_VERSION}" / f"{manifest_hash}.json"


def _percent(num: int, total: int) -> str:
    share = 100 * num / total
    return f"{int(share)} %" if share >= 1 else "<1 %"
