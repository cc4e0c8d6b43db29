"""A manifest with new splits that no related videos cross."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vidcls.data.manifest import Manifest, Video
from vidcls.errors import UserError
from vidcls.leaks.audit import Relations
from vidcls.leaks.relatives import components, key_links
from vidcls.leaks.split import group_folds, group_split
from vidcls.spec.sections import SPLITS, Split


def resplit(
    relations: Relations,
    *,
    sizes: Mapping[Split, float] | Mapping[Split, int],
    seed: int,
    keep: Manifest | None = None,
) -> Manifest:
    """The manifest with splits of the sizes asked for, and a group for every video.

    Args:
        relations: The videos, and which of them belong together.
        sizes: Sizes of the splits, as `group_split` takes them.
        seed: Seed of the draw.
        keep: A manifest whose videos, known by their content, stay in their splits.

    Raises:
        UserError: If the sizes do not add up, there are too few groups, or `keep` parts relatives.
    """
    videos, groups = relations.manifest.videos, joined_groups(relations)
    kept = _kept(videos, groups, keep) if keep is not None else None
    labels = [video.label for video in videos]
    return _with(relations, groups, group_split(labels, groups, sizes=sizes, seed=seed, keep=kept))


def resplit_as_before(relations: Relations, *, seed: int) -> Manifest:
    """As `resplit`, with the splits that the data has of itself and their sizes.

    Test stays where no video of train and val is related to one of it; else as many videos are drawn anew.
    Data of one split becomes train and val, 80 % and 20 %.

    Raises:
        UserError: If there are fewer groups than splits.
    """
    groups = joined_groups(relations)
    indices = _outside_test(relations, groups, seed=seed)
    sizes = own_sizes(relations.manifest)
    shares: dict[Split, float] = {"train": 0.8, "val": 0.2}
    if len(sizes) > 1:
        total = sum(number for split, number in sizes.items() if split != "test")
        shares = {split: number / total for split, number in sizes.items() if split != "test"}
    labels, names = _labels(relations, indices), [groups[index] for index in indices]
    drawn = group_split(labels, names, sizes=shares, seed=seed)
    return _with(relations, groups, _beside_test(indices, drawn, num_videos=len(groups)))


def resplit_folds(relations: Relations, *, num_folds: int, seed: int) -> list[Manifest]:
    """One manifest a fold: each video is in val once and in train otherwise.

    Test is the same in all of them, and as `resplit_as_before` has it.

    Raises:
        UserError: If there are fewer groups than folds.
    """
    groups = joined_groups(relations)
    indices = _outside_test(relations, groups, seed=seed)
    labels, names = _labels(relations, indices), [groups[index] for index in indices]
    fold_of = group_folds(labels, names, num_folds=num_folds, seed=seed)
    made = []
    for number in range(num_folds):
        drawn: list[Split] = ["val" if fold == number else "train" for fold in fold_of]
        made.append(_with(relations, groups, _beside_test(indices, drawn, num_videos=len(groups))))
    return made


def own_sizes(manifest: Manifest) -> dict[Split, int]:
    """Videos of each split that the data has of itself: a val that was cut from train is train."""
    counts = Counter(
        "train" if manifest.val_is_cut and video.split == "val" else video.split for video in manifest.videos
    )
    return {split: counts[split] for split in SPLITS if counts[split]}


def num_test_related(relations: Relations) -> int:
    """Test videos that have a relative in train or val."""
    groups = joined_groups(relations)
    splits = [video.split for video in relations.manifest.videos]
    others = {group for group, split in zip(groups, splits, strict=True) if split != "test"}
    return sum(split == "test" and group in others for group, split in zip(groups, splits, strict=True))


def _outside_test(relations: Relations, groups: Sequence[str], *, seed: int) -> list[int]:
    """The indices of the videos that are not test, of which no relative is test."""
    splits = [video.split for video in relations.manifest.videos]
    if num_test_related(relations):
        num_test = splits.count("test")
        sizes: dict[Split, int] = {"train": len(splits) - num_test, "test": num_test}
        splits = group_split(_labels(relations, range(len(splits))), groups, sizes=sizes, seed=seed)
    return [index for index, split in enumerate(splits) if split != "test"]


def _labels(relations: Relations, indices: Iterable[int]) -> list[int]:
    return [relations.manifest.videos[index].label for index in indices]


def _beside_test(indices: Sequence[int], drawn: Sequence[Split], *, num_videos: int) -> list[Split]:
    """The split of each video: what was drawn for some indices, and test for the others."""
    split_of = dict(zip(indices, drawn, strict=True))
    return [split_of.get(index, "test") for index in range(num_videos)]


def joined_groups(relations: Relations) -> list[str]:
    """A group for each video: known groups stay whole, and are joined where videos of two are related.

    It keeps its name where nothing was joined; else it is called after its first video, by id.
    """
    videos = relations.manifest.videos
    links = [*relations.links, *key_links(videos, lambda video: video.group, "group")]
    numbers = components(len(videos), links)
    names: dict[int, set[str]] = {}
    for video, number in zip(videos, numbers, strict=True):
        names.setdefault(number, set()).add(video.group or "")
    first: dict[int, str] = {}
    for video, number in zip(videos, numbers, strict=True):
        known = names[number]
        first.setdefault(number, next(iter(known)) if len(known) == 1 and known != {""} else video.id)
    return [first[number] for number in numbers]


def counts(manifest: Manifest) -> dict[str, dict[Split, int]]:
    """Number of videos of each class in each split that holds any."""
    number = Counter((video.label, video.split) for video in manifest.videos)
    splits = [split for split in SPLITS if manifest.split(split)]
    return {
        name: {split: number[label, split] for split in splits} for label, name in enumerate(manifest.classes)
    }


def _with(relations: Relations, groups: Sequence[str], splits: Sequence[Split]) -> Manifest:
    manifest, members = relations.manifest, Counter(groups)
    videos = []
    for video, group, split in zip(manifest.videos, groups, splits, strict=True):
        # Of a video that was not looked at nobody knows that it stands alone: it stays without a group.
        is_seen = relations.by == "content" and video.id not in relations.not_read
        is_known = video.group is not None or members[group] > 1 or is_seen
        videos.append(replace(video, group=group if is_known else None, split=split))
    return replace(manifest, videos=tuple(videos), val_is_cut=False)


def _kept(videos: Sequence[Video], groups: Sequence[str], keep: Manifest) -> dict[str, Split]:
    old: dict[str, list[Video]] = {}
    for video in keep.videos:
        old.setdefault(video.digest, []).append(video)
    settled: dict[str, Video] = {}
    for video, group in zip(videos, groups, strict=True):
        for known in old.get(video.digest, []):
            first = settled.setdefault(group, known)
            if first.split != known.split:
                raise UserError(
                    f"--keep: {keep.root} has relatives in two splits: "
                    f"{first.id} [{first.split}] and {known.id} [{known.split}]",
                    hint="leave --keep out, or take them out of one split there",
                )
    return {group: video.split for group, video in settled.items()}
