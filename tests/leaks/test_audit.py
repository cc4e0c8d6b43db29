"""Relatives by looks, on made-up footage: sources with a place of their own, and what people do to copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tests.support.video import Frames, write_clip
from tests.support.waiting import PATIENCE_S
from vidcls.data.decoding.workers import Decoders
from vidcls.data.manifest import read_manifest
from vidcls.errors import UserError
from vidcls.leaks.audit import AskedBy, Audit, Relations, audit, relate
from vidcls.leaks.contact_sheet import write_sheet
from vidcls.leaks.relatives import Link, components, cut
from vidcls.leaks.resplit import resplit
from vidcls.leaks.state import leak_state
from vidcls.spec.data import DataSection

CLASSES = ("run", "sit", "wave")
NUM_SOURCES = 6  # a class, in train


def footage(seed: int, *, num_frames: int = 16, start: int = 0) -> Frames:
    """Frames `[T, 48, 64, 3]` of a place that `seed` makes up, with something that moves through it."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(0, 255, size=(5, 6, 3)).astype(np.float32)
    place = cv2.resize(knots, (64, 48), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    stripes = 30 * np.sin(np.arange(64) * rng.uniform(0.3, 1.5) + np.arange(48)[:, None] * rng.uniform(-1, 1))
    frames = np.repeat((place + stripes[..., None]).clip(0, 255)[None], num_frames, axis=0)
    first = int(rng.integers(50)) + start
    for index, frame in enumerate(frames):
        left = (first + 2 * index) % 50
        frame[15:30, left : left + 12] = knots[0, 0][::-1]
    return frames.round().astype(np.uint8)


def copies(seed: int) -> dict[str, tuple[Frames, dict[str, str]]]:
    """What becomes of the footage in other hands: frames, and how they are encoded."""
    frames = footage(seed)
    larger = np.stack([cv2.resize(frame, (96, 72), interpolation=cv2.INTER_LINEAR) for frame in frames])
    return {
        "reencoded": (frames, {"qmin": "12", "qmax": "12"}),
        "trimmed": (frames[4:11], {}),
        "mirrored": (np.ascontiguousarray(frames[:, :, ::-1]), {}),
        "resized": (larger, {}),
        "another_clip": (footage(seed, start=20), {}),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train of three classes; val holds a copy of every kind of one train video a class, and one stranger."""
    folder = tmp_path_factory.mktemp("footage")
    for label, name in enumerate(CLASSES):
        for number in range(NUM_SOURCES):
            clip = footage(100 * label + number)
            write_clip(folder / "train" / name / f"clip{number}.avi", clip, codec="mpeg4")
        for kind, (frames, options) in copies(100 * label).items():
            write_clip(folder / "val" / name / f"{kind}.avi", frames, codec="mpeg4", options=options)
        write_clip(folder / "val" / name / "stranger.avi", footage(100 * label + 50), codec="mpeg4")
    return folder


@pytest.fixture(scope="module")
def store_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    pool = Decoders(workers=2, timeout_s=PATIENCE_S)
    yield pool
    pool.close()


def look(root: Path, store_dir: Path, decoders: Decoders, *, by: AskedBy = "auto") -> Audit:
    manifest = read_manifest(DataSection(root=str(root)), cache_dir=store_dir)
    return audit(relate(manifest, by=by, store_dir=store_dir, decoders=decoders), store_dir=store_dir)


@pytest.fixture(scope="module")
def relations(root: Path, store_dir: Path, decoders: Decoders) -> Relations:
    manifest = read_manifest(DataSection(root=str(root)), cache_dir=store_dir)
    return relate(manifest, by="content", store_dir=store_dir, decoders=decoders)


def test_every_copy_is_found_and_no_stranger(relations: Relations, store_dir: Path) -> None:
    found = audit(relations, store_dir=store_dir)
    assert found.relations.by == "content"
    pairs = {(pair.held_out.id, pair.train.id) for pair in found.pairs}
    kinds = copies(0)
    assert pairs == {
        (f"val/{name}/{kind}.avi", f"train/{name}/clip0.avi") for name in CLASSES for kind in kinds
    }
    mirrored = {pair.reason for pair in found.pairs if "mirrored" in pair.held_out.id}
    assert mirrored == {"content, mirrored"}
    assert found.state.shares == {"val": (15, 18)}
    assert not found.is_fine
    assert leak_state(found.relations.manifest, store_dir=store_dir) == found.state


def test_a_split_by_content_is_clean(
    relations: Relations, store_dir: Path, decoders: Decoders, tmp_path: Path
) -> None:
    table = tmp_path / "clean.csv"
    resplit(relations, sizes={"train": 0.7, "val": 0.3}, seed=0).write_csv(table)
    clean = look(table, store_dir, decoders)
    assert clean.relations.by == "group"
    assert clean.is_fine
    assert look(table, store_dir, decoders, by="content").is_fine
    assert {video.digest for video in clean.relations.manifest.videos} == {
        video.digest for video in relations.manifest.videos
    }


def test_kept_videos_stay_when_others_come(relations: Relations) -> None:
    sizes = {"train": 0.7, "val": 0.3}
    old = resplit(relations, sizes=sizes, seed=0)
    again = resplit(relations, sizes=sizes, seed=1, keep=old)
    assert [video.split for video in again.videos] == [video.split for video in old.videos]
    with pytest.raises(UserError, match="has relatives in two splits"):
        resplit(relations, sizes=sizes, seed=1, keep=relations.manifest)


def test_a_broken_video_is_named_and_the_others_are_judged(
    root: Path, store_dir: Path, decoders: Decoders, tmp_path: Path
) -> None:
    for name in CLASSES:
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "val" / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "train" / name / f"{number}.avi").symlink_to(
                root / "train" / name / f"clip{number}.avi"
            )
        (tmp_path / "val" / name / "new.avi").symlink_to(root / "train" / name / f"clip{2}.avi")
    (tmp_path / "val" / "run" / "text.avi").write_text("no video")
    found = look(tmp_path, store_dir, decoders)
    assert list(found.relations.not_read) == ["val/run/text.avi"]
    assert found.pairs == ()
    assert (found.state.kind, found.is_fine) == ("unknown", False)


def test_a_contact_sheet_shows_each_pair(
    relations: Relations, store_dir: Path, decoders: Decoders, tmp_path: Path
) -> None:
    found = audit(relations, store_dir=store_dir)
    sheet = tmp_path / "sheet.png"
    assert write_sheet(found.best_pairs()[:3], sheet, store_dir=store_dir, decoders=decoders) == 3
    picture = cv2.imread(str(sheet))
    assert picture is not None
    height, width = picture.shape[:2]
    assert height > 3 * 84
    assert width > 8 * 112
    assert picture[:, : width // 2].std() > 20
    assert picture[:, width // 2 :].std() > 20


def test_a_contact_sheet_of_many_pairs_is_cut(
    relations: Relations, store_dir: Path, decoders: Decoders, tmp_path: Path
) -> None:
    pairs = audit(relations, store_dir=store_dir).best_pairs()[:1] * 700
    assert 3 < write_sheet(pairs, tmp_path / "a.jpg", store_dir=store_dir, decoders=decoders) < 700


def test_the_cut_leaves_few_unrelated_pairs(subtests: pytest.Subtests) -> None:
    rng = np.random.default_rng(0)
    tails: dict[str, NDArray[np.float64]] = {
        "short": rng.beta(2, 8, size=30_000) - 0.2,
        "normal": rng.normal(0, 0.08, size=30_000),
    }
    limits = {
        "short": stats.beta.isf(0.1 / 100_000, 2, 8) - 0.2,
        "normal": stats.norm.isf(0.1 / 100_000) * 0.08,
    }
    for name, sample in tails.items():
        with subtests.test(name):
            found = cut(sample.astype(np.float32), num_pairs=100_000)
            assert abs(found - limits[name]) < 0.12
            assert np.count_nonzero(sample > found) <= 3
    assert cut(np.zeros(3, np.float32), num_pairs=100) == cut(np.ones(9, np.float32), num_pairs=5)


def test_links_join_what_they_reach() -> None:
    links = [Link(0, 2, "group"), Link(2, 3, "content", 0.8)]
    numbers = components(5, links)
    assert numbers[0] == numbers[2] == numbers[3]
    assert len({numbers[0], numbers[1], numbers[4]}) == 3
