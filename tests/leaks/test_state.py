from __future__ import annotations

from pathlib import Path

import pytest

from vidcls.data.listing.groups import group_of
from vidcls.data.manifest import Manifest, Video
from vidcls.leaks.state import LeakState, leak_state, remember


def manifest(*videos: tuple[str, str | None]) -> Manifest:
    """Videos given as (split, group); each has content of its own."""
    made = [
        Video(f"v{number}", Path(f"v{number}"), 0, split, group, f"digest {number}")  # type: ignore[arg-type]
        for number, (split, group) in enumerate(videos)
    ]
    return Manifest(Path("root"), "csv", ("a", "b"), tuple(made), (), False)


def test_groups_tell_where_every_video_has_one(tmp_path: Path) -> None:
    leaky = manifest(("train", "a"), ("val", "a"), ("val", "b"), ("test", "c"))
    state = leak_state(leaky, store_dir=tmp_path)
    assert (state.kind, state.by) == ("leaky", "group")
    assert state.shares == {"val": (1, 2), "test": (0, 1)}
    assert str(state) == "leaky 50 %"
    assert state.of_split("val") == "leaky 50 %"
    assert state.of_split("test") == "clean"
    assert str(leak_state(manifest(("train", "a"), ("val", "b")), store_dir=tmp_path)) == "clean"


def test_without_groups_only_an_audit_tells(tmp_path: Path) -> None:
    data = manifest(("train", None), ("val", None))
    assert str(leak_state(data, store_dir=tmp_path)) == "unknown"
    found = LeakState.of({"val": (1, 1)}, by="content")
    remember(found, store_dir=tmp_path, manifest_hash=data.hash)
    assert leak_state(data, store_dir=tmp_path) == found
    other = manifest(("train", None), ("val", None), ("val", None))
    assert leak_state(other, store_dir=tmp_path).kind == "unknown"


def test_one_shared_group_is_a_leak_even_where_others_are_unknown(tmp_path: Path) -> None:
    data = manifest(("train", "a"), ("train", None), ("val", "a"), ("val", None), ("test", None))
    state = leak_state(data, store_dir=tmp_path)
    assert str(state) == "leaky 50 % or more"
    assert state.of_split("test") == "unknown", "nobody looked at its videos"
    assert LeakState.from_dict(state.as_dict()) == state
    remember(
        LeakState.of({"val": (2, 2), "test": (0, 1)}, by="content"),
        store_dir=tmp_path,
        manifest_hash=data.hash,
    )
    assert str(leak_state(data, store_dir=tmp_path)) == "leaky 100 %"


def test_a_leak_that_an_audit_saw_counts_whatever_the_groups_say(tmp_path: Path) -> None:
    data = manifest(("train", "a"), ("val", "b"))
    seen = LeakState.of({"val": (1, 1)}, by="content")
    remember(seen, store_dir=tmp_path, manifest_hash=data.hash)
    assert leak_state(data, store_dir=tmp_path) == seen
    weaker = LeakState.of({"val": (0, 1)}, by="name")
    remember(weaker, store_dir=tmp_path, manifest_hash=data.hash)
    assert leak_state(data, store_dir=tmp_path) == seen, "an audit that found less settles nothing"


def test_the_same_file_twice_is_a_leak_whatever_the_groups_say(tmp_path: Path) -> None:
    twice = [Video(split, Path(split), 0, split, split, "same") for split in ("train", "val")]  # type: ignore[arg-type]
    data = Manifest(Path("root"), "csv", ("a", "b"), tuple(twice), (), False)
    assert str(leak_state(data, store_dir=tmp_path)) == "leaky 100 %"


def test_an_audit_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    data = manifest(("train", None), ("val", None))
    remember(LeakState.of({"val": (0, 1)}, by="content"), store_dir=tmp_path, manifest_hash=data.hash)
    (written,) = (tmp_path / "audits").rglob("*.json")
    written.write_text("{")
    assert leak_state(data, store_dir=tmp_path).kind == "unknown"


@pytest.mark.parametrize(
    ("val", "test", "shown"),
    [
        ((111, 120), (108, 120), "leaky 92 %"),
        ((999, 1000), (0, 9), "leaky 99 %"),
        ((1, 1000), (0, 9), "leaky <1 %"),
        ((0, 120), (108, 120), "leaky test 90 %"),
        ((0, 120), (0, 120), "clean"),
    ],
)
def test_how_a_state_reads(val: tuple[int, int], test: tuple[int, int], shown: str) -> None:
    state = LeakState.of({"val": val, "test": test}, by="group")
    assert str(state) == shown
    assert LeakState.from_dict(state.as_dict()) == state


@pytest.mark.parametrize(
    ("name", "label", "group"),
    [
        ("v_HandStandPushups_g07_c02.avi", "HandstandPushups", "HandstandPushups/g07"),
        ("v_biking_01_02.mpg", "biking", "biking/01"),
        ("RATRACE_wave_f_nm_np1_fr_goo_37.avi", "wave", "source/RATRACE"),
        ("April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "brush_hair", "source/April_09"),
        ("-0aMp7cK3Ww_000010_000020.mp4", "abseiling", "source/-0aMp7cK3Ww"),
        ("holiday_g1.avi", "a", None),
        ("frame_000001_000002.mp4", "a", None),
    ],
)
def test_names_that_tell_the_source(name: str, label: str, group: str | None) -> None:
    assert group_of(name, label) == group
