"""Makes manifests with new splits that separate no related videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vidcls.choices import SPLITS, Split
from vidcls.data.manifest import Manifest, Video
from vidcls.errors import UserError
from vidcls.leaks.audit import Relations
from vidcls.leaks.relatives import components, key_links
from vidcls.leaks.split import group_folds, group_split


def resplit(
    relations: Relations,
    *,
    sizes: Mapping[Split, float] | Mapping[Split, int],
    seed: int,
    keep: Manifest | None = None,
) -> Manifest:
    """Manifest with splits of the requested sizes, and a group for every video.

    Args:
        relations: Videos and their related pairs.
        sizes: Sizes of the splits, as for `group_split`.
        seed: Seed of the draw.
        keep: Manifest whose videos, recognised by content, stay in their splits.

    Raises:
        UserError: If the sizes do not add up, there are too few groups, or `keep` separates relatives.
    """
    videos, groups = relations.manifest.videos, joined_groups(relations)
    kept = _kept(videos, groups, keep) if keep is not None else None
    labels = [video.label for video in videos]
    return _with(relations, groups, group_split(labels, groups, sizes=sizes, seed=seed, keep=kept))


def resplit_as_before(relations: Relations, *, seed: int) -> Manifest:
    """Same as `resplit`, with the original splits of the data and their sizes.

    Test is kept if none of its videos is related to a video of train or val; otherwise a test split of the
    same size is drawn. Data with one split becomes train and val, 80 % and 20 %.

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
    """One manifest per fold: each video is in val once and in train otherwise.

    Test is the same in all folds, and chosen as in `resplit_as_before`.

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
    """Number of videos of each original split of the data: a val that was cut from train counts as train."""
    counts = Counter(
        "train" if manifest.val_is_cut and video.split == "val" else video.split for video in manifest.videos
    )
    return {split: counts[split] for split in SPLITS if counts[split]}


def num_test_related(relations: Relations) -> int:
    """Number of test videos that have a relative in train or val."""
    groups = joined_groups(relations)
    splits = [video.split for video in relations.manifest.videos]
    others = {group for group, split in zip(groups, splits, strict=True) if split != "test"}
    return sum(split == "test" and group in others for group, split in zip(groups, splits, strict=True))


def _outside_test(relations: Relations, groups: Sequence[str], *, seed: int) -> list[int]:
    """Indices of the videos outside of a test split that has no relatives outside."""
    splits = [video.split for video in relations.manifest.videos]
    if num_test_related(relations):
        num_test = splits.count("test")
        sizes: dict[Split, int] = {"train": len(splits) - num_test, "test": num_test}
        splits = group_split(_labels(relations, range(len(splits))), groups, sizes=sizes, seed=seed)
    return [index for index, split in enumerate(splits) if split != "test"]


def _labels(relations: Relations, indices: Iterable[int]) -> list[int]:
    return [relations.manifest.videos[index].label for index in indices]


def _beside_test(indices: Sequence[int], drawn: Sequence[Split], *, num_videos: int) -> list[Split]:
    """Split of each video: the drawn split for the given indices, test for the others."""
    split_of = dict(zip(indices, drawn, strict=True))
    return [split_of.get(index, "test") for index in range(num_videos)]


def joined_groups(relations: Relations) -> list[str]:
    """Group of each video: known groups stay whole, and two groups are joined if they have related videos.

    A group keeps its name if nothing was joined; otherwise it is named after its first video, by id.
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
        # A video that was not read may have unknown relatives, so it stays without a group.
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
                    hint="leave out --keep, or remove one of the two from that manifest",
                )
    return {group: video.split for group, video in settled.items()}
