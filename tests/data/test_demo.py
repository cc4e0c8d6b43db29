"""motion10: what it says about itself is what its pixels show, and it is made once, whole, and the same."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vidcls.data import demo
from vidcls.data.demo import CLASSES, DIRECTIONS, HEIGHT_PX, WIDTH_PX, Amount, make_demo_of
from vidcls.errors import UserError

AMOUNT = Amount(train=2, val=1, test=1, clips=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "motion10"
    make_demo_of(AMOUNT, root, seed=0)
    return root


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def decode(path: Path) -> NDArray[np.float64]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(
            float
        )


def videos(root: Path) -> list[tuple[str, dict[str, str]]]:
    return [
        (split, row) for split in ("train", "val", "test") for row in table(root / f"metadata/{split}.csv")
    ]


def digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def wrapped_centre(weight: NDArray[np.float64], axis: int) -> float:
    """The centre of mass on a circle: of the columns (axis 1) or rows (axis 0)."""
    profile = weight.sum(axis=1 - axis)
    phase = np.exp(2j * np.pi * np.arange(len(profile)) / len(profile))
    return float(np.angle((profile * phase).sum()) / (2 * np.pi) * len(profile) % len(profile))


def wrapped_distance(a: float, b: float, period: float) -> float:
    return abs((a - b + period / 2) % period - period / 2)


def test_the_layout_of_the_course(root: Path) -> None:
    listed = videos(root)
    assert Counter(split for split, _ in listed) == {"train": 40, "val": 20, "test": 20}
    for split, row in listed:
        assert (root / "videos" / split / row["video_path"]).is_file()
        assert CLASSES[int(row["label"])] == row["action"]
        assert row["video_path"] == f"{row['action']}/{row['video_name']}.avi"
        assert re.fullmatch(rf"v_{row['action']}_g\d\d_c\d\d", row["video_name"])
    assert Counter(row["action"] for _, row in listed) == dict.fromkeys(CLASSES, 8)
    assert len(list((root / "videos").rglob("*.avi"))) == len(listed)


def test_groups_are_disjoint_over_splits(root: Path) -> None:
    groups: dict[str, set[str]] = {}
    for split, row in videos(root):
        groups.setdefault(row["video_name"].rsplit("_", 1)[0], set()).add(split)
    assert all(len(splits) == 1 for splits in groups.values())
    assert len(groups) == len(CLASSES) * 4


def test_the_truth_is_what_the_pixels_show(root: Path) -> None:
    truth: dict[str, list[dict[str, str]]] = {}
    for row in table(root / "motion.csv"):
        truth.setdefault(row["video_name"], []).append(row)
    assert len(truth) == 80
    for split, row in videos(root)[::3]:
        frames = decode(root / "videos" / split / row["video_path"])
        said = truth[row["video_name"]]
        assert len(frames) == len(said)
        assert 24 <= len(frames) <= 32
        assert frames.shape[1:] == (HEIGHT_PX, WIDTH_PX, 3)
        red, blue = frames[..., 0], frames[..., 2]
        weight = np.clip((red - blue if row["action"].startswith("Red") else blue - red) - 60, 0, None)
        for frame, place in zip(weight, said, strict=True):
            assert wrapped_distance(wrapped_centre(frame, 1), float(place["x_px"]), WIDTH_PX) < 1.5
            assert wrapped_distance(wrapped_centre(frame, 0), float(place["y_px"]), HEIGHT_PX) < 1.5
        motion = next(name for name in DIRECTIONS if row["action"].endswith(name))
        step = np.array([float(said[0]["dx_px"]), float(said[0]["dy_px"])])
        assert np.array_equal(np.sign(step), DIRECTIONS[motion])
        assert motion == "Still" or 1.5 <= np.abs(step).sum() <= 3


def test_every_frame_is_coded_by_itself(root: Path) -> None:
    """So that compression of a frame cannot depend on how things move."""
    for path in sorted((root / "videos").rglob("*.avi"))[::7]:
        with av.open(str(path)) as container:
            kinds = {frame.pict_type for frame in container.decode(video=0)}
        assert kinds == {av.video.frame.PictureType.I}


def test_places_and_lengths_say_nothing() -> None:
    """Over many drawn clips the first place is uniform in each class: checked on what the drawing uses."""
    rng = np.random.default_rng(0)
    starts = rng.uniform((0, 0), (WIDTH_PX, HEIGHT_PX), size=(2000, 2))
    for step in ((-2.3, 0), (0, 2.3), (0, 0)):
        places = (starts + np.array(step) * 20) % (WIDTH_PX, HEIGHT_PX)
        share = np.histogram(places[:, 0], bins=8, range=(0, WIDTH_PX))[0] / len(places)
        assert np.abs(share - 1 / 8).max() < 0.03


def test_the_same_seed_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    small = Amount(train=1, val=1, test=1, clips=1)
    seen: list[tuple[int, int]] = []
    make_demo_of(small, tmp_path / "a", seed=0, progress=lambda done, total: seen.append((done, total)))
    make_demo_of(small, tmp_path / "b", seed=0)
    make_demo_of(small, tmp_path / "c", seed=1)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert set(digests(tmp_path / "a").values()).isdisjoint(
        digest for name, digest in digests(tmp_path / "c").items() if name.endswith(".avi")
    )
    assert seen == [(done, 30) for done in range(1, 31)]


def test_a_second_call_does_nothing(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    make_demo_of(AMOUNT, root, seed=0)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert not list(root.parent.glob(".*.partial"))


def test_refuses_what_is_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another motion10"):
        make_demo_of(AMOUNT, root, seed=1)
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match="other than motion10"):
        make_demo_of(AMOUNT, tmp_path, seed=0)
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "motion10"
    with pytest.raises(KeyboardInterrupt):
        make_demo_of(Amount(train=1, val=1, test=1, clips=1), target, seed=0, progress=stop)
    assert not target.exists()
    assert not (tmp_path / ".motion10.partial").exists()
    make_demo_of(Amount(train=1, val=1, test=1, clips=1), target, seed=0)
    assert (target / "motion10.json").is_file()


def test_needs_no_torch() -> None:
    import subprocess
    import sys

    code = f"import sys, {demo.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
