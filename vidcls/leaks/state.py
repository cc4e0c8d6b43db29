"""Whether held-out videos have relatives in train: what every accuracy must be read with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from vidcls.data.manifest import Manifest, Video
from vidcls.data.sharing import HELD_OUT, shares_by
from vidcls.files import write_json
from vidcls.json_files import DamagedError, read_json
from vidcls.run_shapes import LEAKS
from vidcls.spec.sections import Split

LeakKind = Literal["leaky", "clean", "unknown"]
By = Literal["group", "name", "content", "none"]
_VERSION = 1  # raised when an audit may come to another verdict


@dataclass(frozen=True)
class LeakState:
    """Whether videos of val and test are related to videos of train.

    Attributes:
        kind: `unknown` where nothing tells, and nobody ran `vidcls data audit`.
        shares: For val and test, where they hold videos: how many have a relative in train, and how many
            there are. Empty where the state is unknown.
        by: What the relatives were found by; `none` where the state is unknown.
        is_partial: Whether relatives were looked for among some of the videos only: what was found is true,
            and there may be more.
    """

    kind: LeakKind
    shares: Mapping[Split, tuple[int, int]]
    by: By
    is_partial: bool = False

    @classmethod
    def of(cls, shares: Mapping[Split, tuple[int, int]], *, by: By) -> Self:
        """The state of data in which all relatives were looked for."""
        return cls("leaky" if any(num for num, _ in shares.values()) else "clean", dict(shares), by)

    @property
    def num_related(self) -> int:
        """Val and test videos with a relative in train."""
        return sum(num for num, _ in self.shares.values())

    def of_split(self, split: Split) -> str:
        """The state as it concerns the accuracy on one split: `leaky 92 %`, `clean` or `unknown`."""
        num, total = self.shares.get(split, (0, 0))
        if self.kind != "leaky":
            return self.kind
        if not num:
            return "unknown" if self.is_partial else "clean"
        return f"leaky {_percent(num, total)}{self._or_more}"

    def __str__(self) -> str:
        """`leaky 92 %` (of the val videos), `clean` or `unknown`; `leaky test 90 %` where only test leaks."""
        leaking = next((split for split in HELD_OUT if self.shares.get(split, (0, 0))[0]), None)
        if self.kind != "leaky" or leaking is None:
            return self.kind
        which = "" if leaking == "val" else f"{leaking} "
        return f"leaky {which}{_percent(*self.shares[leaking])}{self._or_more}"

    @property
    def _or_more(self) -> str:
        return " or more" if self.is_partial else ""

    def as_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON has."""
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
        """What `as_dict` gave.

        Raises:
            KeyError: If something is absent.
            TypeError: If something is of another type.
        """
        shares = {split: (share["related"], share["videos"]) for split, share in content["shares"].items()}
        return cls(content["kind"], shares, content["by"], content["is_partial"])


UNKNOWN = LeakState("unknown", {}, "none")


def leak_state(manifest: Manifest, *, store_dir: Path) -> LeakState:
    """What is known of the leaks of a manifest, without looking into its videos.

    By groups where every video has one, and by the audit of exactly these videos that `vidcls data audit`
    left under `store_dir`. One shared group, or the same file twice, is a leak in any case.

    Args:
        manifest: The data.
        store_dir: Folder of stores and caches.
    """
    known = LeakState.of(shares_by(manifest, group_keys), by="group")
    if any(video.group is None for video in manifest.videos):
        known = replace(known, is_partial=True) if known.kind == "leaky" else UNKNOWN
    return weighed(known, audited(manifest.hash, store_dir=store_dir))


def weighed(known: LeakState, found: LeakState | None) -> LeakState:
    """What counts of what is known without an audit and what an audit found: the leaks of whoever saw more.

    Args:
        known: Told by groups, or recorded earlier.
        found: What an audit found; None where there was none.
    """
    if found is None or found.num_related < known.num_related:
        return known
    is_settled = known.kind != "unknown" and not known.is_partial
    return known if is_settled and found.num_related == known.num_related else found


def group_keys(video: Video) -> Iterable[str]:
    """What a video shares with its known relatives: its group, and its bytes with exact copies."""
    return ([f"group {video.group}"] if video.group is not None else []) + [f"bytes {video.digest}"]


def remember(state: LeakState, *, store_dir: Path, manifest_hash: str) -> None:
    """Keep the outcome of an audit, for `leak_state`; one that found more stays.

    Raises:
        OSError: If it cannot be written.
    """
    before = audited(manifest_hash, store_dir=store_dir)
    if before is None or before.num_related <= state.num_related:
        write_json(_file(store_dir, manifest_hash), state.as_dict())


def audited(manifest_hash: str, *, store_dir: Path) -> LeakState | None:
    """What an audit of exactly these videos found; None where there was none."""
    try:
        return LeakState.from_dict(read_json(_file(store_dir, manifest_hash), LEAKS, hint="audit it again"))
    except (FileNotFoundError, DamagedError):
        return None


def _file(store_dir: Path, manifest_hash: str) -> Path:
    return store_dir / "audits" / f"v{_VERSION}" / f"{manifest_hash}.json"


def _percent(num: int, total: int) -> str:
    share = 100 * num / total
    return f"{int(share)} %" if share >= 1 else "<1 %"
