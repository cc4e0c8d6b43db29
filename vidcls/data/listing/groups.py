"""Groups of videos cut from one source, derived from their file names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vidcls.data.listing.files import without_video_suffix
from vidcls.data.listing.listing import ListedVideo, Problem

_KINETICS = r"([\w-]{11})_\d{6}_\d{6}"


@dataclass(frozen=True)
class Doubt:
    """Group derived from file names that is not used because it is doubtful.

    Attributes:
        group: Group from `group_of`.
        reason: Reason of the doubt.
    """

    group: str
    reason: str


def group_of(name: str, label: str) -> str | None:
    """Group of a video from its file name, by the naming rules of known data sets; else None.

    * UCF101 `v_Class_gXX_cYY` and UCF11 `v_class_XX_YY`: `label/XX`. The label replaces the class because
      UCF101 spells HandstandPushups in two ways; the numbers start again in each class.
    * HMDB51 `Title_class_f_nm_np1_fr_goo_0`: `source/Title`, a film or clip that classes may share.
    * Kinetics `-0123456789_000010_000020`: `source/` and the id of the YouTube video.
    """
    stem = without_video_suffix(name)
    if match := re.fullmatch(r"v_.+_(g?\d+)_c?\d+", stem):
        return f"{label}/{match[1]}"
    if match := re.fullmatch(r"(.+)_[fhlu]_(?:cm|nm)_np\d+_(?:ba|fr|le|ri)_(?:bad|goo|med)_\d+", stem):
        title = match[1]
        ending = f"_{label}".casefold()
        return f"source/{title[: -len(ending)] if title.casefold().endswith(ending) else title}"
    match = re.fullmatch(_KINETICS, stem)
    return f"source/{match[1]}" if match else None


def groups_by_name(names: Sequence[str], labels: Sequence[str]) -> tuple[list[str | None], list[Doubt]]:
    """Groups derived from file names, if they are reliable.

    A name such as `camera_left_000010_000020` may have the form of Kinetics by chance. So a group is not used
    if it holds all videos of a class, or if its name is an unlikely YouTube id: only one id in ten thousand
    has eleven characters without a digit and without a capital letter.

    Args:
        names: File name of each video.
        labels: Class name of each video.

    Returns:
        Group of each video, None if there is no reliable group; and the doubtful groups.
    """
    told = [group_of(name, label) for name, label in zip(names, labels, strict=True)]
    of_class: dict[str, list[str | None]] = defaultdict(list)
    num_videos: dict[str, int] = defaultdict(int)
    for group, label in zip(told, labels, strict=True):
        of_class[label].append(group)
        num_videos[group or ""] += 1
    reasons: dict[str, str] = {}
    for label, groups in of_class.items():
        only = groups[0]
        if only is not None and len(groups) > 1 and set(groups) == {only}:
            reasons.setdefault(only, f"all {len(groups)} videos of class {label} would be one source")
    for name, group in zip(names, told, strict=True):
        if group is not None and num_videos[group] > 1 and _is_no_youtube_id(name):
            reasons.setdefault(
                group, f"{num_videos[group]} videos would be one source, but it is not a YouTube id"
            )
    believed = [None if group in reasons else group for group in told]
    return believed, [Doubt(group, reason) for group, reason in reasons.items()]


def _is_no_youtube_id(name: str) -> bool:
    match = re.fullmatch(_KINETICS, without_video_suffix(name))
    return match is not None and re.fullmatch(r"[a-z_-]+", match[1]) is not None


def with_groups(entries: Sequence[ListedVideo]) -> tuple[list[ListedVideo], list[Problem]]:
    """`entries` with groups from file names if the layout has none, and problems with doubtful groups."""
    unknown = [entry for entry in entries if entry.group is None]
    groups, doubts = groups_by_name(
        [entry.path.name for entry in unknown], [entry.label for entry in unknown]
    )
    rest = iter(groups)
    grouped = [replace(entry, group=next(rest)) if entry.group is None else entry for entry in entries]
    return grouped, list(_problems(doubts))


def _problems(doubts: Sequence[Doubt]) -> Iterator[Problem]:
    for doubt in doubts:
        source = doubt.group.partition("/")[2]
        yield Problem(
            "group_doubted",
            f"by their file names, {doubt.reason} ({source}); this is unlikely, so each counts as a "
            "separate source; if they are one source, write a CSV with the column group",
        )
