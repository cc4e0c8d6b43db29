"""Identity, refusal, the cache of digests, and the val that is cut from train."""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.roots import CLASSES, Clip, build, put
from vidcls.choices import Split
from vidcls.data.decoding.frame_folders import frame_files
from vidcls.data.manifest import Manifest, load_manifest, read_manifest
from vidcls.data.val_split import cut_val
from vidcls.errors import ExitCode, UserError
from vidcls.spec.data import DataSection

Clips = tuple[Clip, ...]


def load(root: Path, *, cache_dir: Path | None = None, **settings: object) -> Manifest:
    section = DataSection.model_validate({"root": str(root), **settings})
    return load_manifest(section, cache_dir=cache_dir or root.parent / "cache")


class TestLoading:
    def test_gives_all_videos_by_id(self, clips: Clips, tmp_path: Path) -> None:
        manifest = load(build("course-videos", tmp_path / "root", clips))
        assert [video.id for video in manifest.videos] == sorted(
            f"{clip.action}/{clip.name}" for clip in clips
        )
        assert (manifest.classes, manifest.num_classes) == (CLASSES, 3)
        assert manifest.problems == ()
        splits: tuple[Split, ...] = ("train", "val", "test")
        assert [len(manifest.split(split)) for split in splits] == [6, 6, 6]
        assert len({video.digest for video in manifest.videos}) == len(clips)

    def test_refuses_naming_every_problem(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        videos = sorted((root / "videos").rglob("*.avi"))
        videos[0].unlink()
        videos[5].write_bytes(b"")
        videos[7].rename(videos[7].with_name("else.avi"))
        with pytest.raises(UserError) as caught:
            load(root)
        assert caught.value.exit_code == ExitCode.USER_MISTAKE
        assert "3 problems prevent training" in caught.value.message
        for index in (0, 5, 7):
            assert str(videos[index]) in caught.value.message
        assert "else.avi" not in caught.value.message
        assert caught.value.hint is not None
        assert "data.bad_videos=skip" in caught.value.hint

    def test_skip_leaves_out_up_to_max_bad(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        videos = sorted((root / "videos" / "train").rglob("*.avi"))
        videos[0].unlink()
        videos[1].write_bytes(b"")
        manifest = load(root, bad_videos="skip", max_bad=2)
        assert len(manifest.videos) == len(clips) - 2
        assert {problem.kind for problem in manifest.problems} >= {"missing", "empty"}
        with pytest.raises(UserError) as caught:
            load(root, bad_videos="skip", max_bad=1)
        assert "data.max_bad=2" in str(caught.value)

    def test_skip_does_not_forgive_wrong_labels(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        table = root / "metadata" / "train.csv"
        table.write_text(table.read_text().replace("Lunges,2", "Lunges,1", 1))
        with pytest.raises(UserError, match="1 problem prevents training"):
            load(root, bad_videos="skip")

    def test_shows_twenty_and_counts_the_rest(self, tmp_path: Path) -> None:
        rows = "".join(f"{index}.avi,{index % 2},train\n" for index in range(25))
        (tmp_path / "t.csv").write_text("path,label,split\n" + rows)
        with pytest.raises(UserError) as caught:
            load(tmp_path / "t.csv")
        lines = caught.value.message.splitlines()
        assert len(lines) == 22
        assert lines[-1].strip() == "and 7 more"  # 25 missing videos, no train, no val

    def test_refuses_one_class_and_missing_splits(self, clips: Clips, tmp_path: Path) -> None:
        for clip in clips[:4]:
            put(clip, tmp_path / "root" / "test" / "all" / clip.name, as_frames=False)
        with pytest.raises(UserError) as caught:
            load(tmp_path / "root")
        for part in ("one_class: ", "no_train: ", "no_val: "):
            assert part in caught.value.message

    def test_an_unreadable_file_is_named(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        video = next((root / "videos").rglob("*.avi"))
        video.unlink()
        video.symlink_to(video)  # cannot be opened by anybody, root included
        with pytest.raises(UserError, match=video.name):
            load(root)


class TestIdentity:
    def test_covers_labels_splits_and_groups(self, clips: Clips, tmp_path: Path) -> None:
        root = build("csv-videos", tmp_path / "root", clips)
        rows = [f"some place/{c.action}/{c.name}.avi,{c.action},{c.split},{c.group}" for c in clips]
        hashes = []
        for old, new in (("", ""), (",Lunges,", ",Stretches,"), (",val,", ",test,"), ("/g09", "/other")):
            changed = [rows[0], *(row.replace(old, new, 1) for row in rows[1:-1]), rows[-1]]
            root.write_text("path,label,split,group\n" + "\n".join(changed))
            hashes.append(read_manifest(DataSection(root=str(root)), cache_dir=None).hash)
        root.write_text("path,label,split,group\n" + "\n".join(reversed(rows)))
        assert load(root).hash == hashes[0]
        assert len(set(hashes)) == 4

    def test_frame_folders_are_told_apart_by_names_and_contents(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-frames", tmp_path / "root", clips)
        first = load(root)
        folder = first.videos[0].path
        one, two, *_ = frame_files(folder)
        one.rename(folder / "aside")
        two.rename(one)
        (folder / "aside").rename(two)
        swapped = load(root)
        assert swapped.videos[0].digest != first.videos[0].digest
        assert swapped.videos[1:] == first.videos[1:]


class TestCache:
    def test_is_used_while_a_file_stays_as_it_is(self, clips: Clips, tmp_path: Path) -> None:
        root, cache = build("course-videos", tmp_path / "root", clips), tmp_path / "cache"
        video = load(root, cache_dir=cache).videos[0]
        file = cache / "digests.json"
        file.write_text(file.read_text().replace(video.digest, "0" * 32))  # shows that it is read
        assert load(root, cache_dir=cache).videos[0].digest == "0" * 32
        os.utime(video.path)
        assert load(root, cache_dir=cache).videos[0].digest == video.digest

    def test_another_content_of_the_same_size_and_time_is_seen(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        first = load(root)
        video = first.videos[0].path
        stat, content = video.stat(), video.read_bytes()
        video.write_bytes(content[::-1])
        os.utime(video, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert load(root).hash != first.hash

    def test_another_content_behind_a_link_is_seen(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        video = load(root).videos[0].path
        old, new = (tmp_path / name for name in ("old", "new"))
        video.rename(old)
        new.write_bytes(old.read_bytes()[::-1])
        for file in (old, new):
            os.utime(file, ns=(1, 1))
        video.symlink_to(old)
        first = load(root)
        video.unlink()
        video.symlink_to(new)
        assert load(root).hash != first.hash

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": ["x"]}', b"\xff"])
    def test_a_spoilt_cache_is_computed_again(self, clips: Clips, tmp_path: Path, content: bytes) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        cache = tmp_path / "cache"
        cache.mkdir()
        (cache / "digests.json").write_bytes(content)
        first = load(root, cache_dir=cache)
        assert first.hash == load(root, cache_dir=tmp_path / "other").hash
        assert len(json.loads((cache / "digests.json").read_text())) >= len(clips)

    def test_a_cache_that_cannot_be_written_costs_time_only(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        (tmp_path / "file").write_text("in the way")
        assert len(load(root, cache_dir=tmp_path / "file" / "cache").videos) == len(clips)

    def test_writers_at_once_leave_a_whole_file(self, clips: Clips, tmp_path: Path) -> None:
        roots = [build("class-videos", tmp_path / f"root{index}", clips) for index in range(6)]
        cache = tmp_path / "cache"
        with ThreadPoolExecutor(6) as pool:
            hashes = set(pool.map(lambda root: load(root, cache_dir=cache).hash, roots))
        assert len(hashes) == 1
        assert len(json.loads((cache / "digests.json").read_text())) >= len(clips)
        assert [path.name for path in cache.iterdir()] == ["digests.json"]


class TestValCut:
    def test_takes_a_fraction_of_each_class(self, clips: Clips, tmp_path: Path) -> None:
        root = build("class-videos", tmp_path / "root", clips)
        for fraction, expected in ((0.2, 2), (0.7, 4)):
            manifest = load(root, val_fraction=fraction)
            assert Counter(video.label for video in manifest.split("val")) == dict.fromkeys(
                range(3), expected
            )
        assert load(root, val_fraction=0.2) == load(root)

    def test_copies_of_a_video_stay_together(self, clips: Clips, tmp_path: Path) -> None:
        for index in range(40):
            clip = clips[index % 2]
            put(clip, tmp_path / "root" / clip.name / f"{index // 8} copy {index}", as_frames=False)
            put(clips[2 + index % 2], tmp_path / "root" / clip.name / f"other {index}", as_frames=False)
        manifest = load(tmp_path / "root")
        digests = [{video.digest for video in manifest.split(split)} for split in ("train", "val")]
        assert manifest.val_is_cut
        assert not digests[0] & digests[1]

    def test_is_refused_where_there_is_a_val(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        with pytest.raises(UserError, match=r"data\.val_fraction: 0\.3 has no effect"):
            load(root, val_fraction=0.3)

    def test_never_takes_test(self, clips: Clips, tmp_path: Path) -> None:
        manifest = load(build("ucf101-videos", tmp_path / "root", clips), val_fraction=0.9)
        assert manifest.val_is_cut
        test = {video.path.stem for video in manifest.split("test")}
        assert test == {clip.name for clip in clips if clip.split == "test"}

    def test_one_group_a_class_cannot_be_cut(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        (root / "metadata" / "val.csv").unlink()
        with pytest.raises(UserError, match="because no class has two groups"):
            load(root)

    groups_of_one_class = st.dictionaries(
        st.integers(0, 4), st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=1
    )

    @settings(max_examples=200)
    @given(groups_of_one_class, st.floats(0.05, 0.9), st.randoms(use_true_random=False))
    def test_is_disjoint_balanced_and_stable(self, sizes, fraction, random) -> None:  # type: ignore[no-untyped-def]
        rows = [
            (label, f"{label}/{index}")
            for label, of_class in sizes.items()
            for index, size in enumerate(of_class)
            for _ in range(size)
        ]
        chosen = cut_val([label for label, _ in rows], [group for _, group in rows], fraction=fraction)
        for label, of_class in sizes.items():
            held = sum(size for index, size in enumerate(of_class) if f"{label}/{index}" in chosen)
            assert held < sum(of_class)
            assert (held > 0) == (len(of_class) > 1)
            assert abs(held - fraction * sum(of_class)) <= max(of_class)
        random.shuffle(rows)
        again = cut_val([label for label, _ in rows], [group for _, group in rows], fraction=fraction)
        assert again == chosen

    @given(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9).map(str)), min_size=1), st.floats(0.05, 0.9)
    )
    def test_groups_of_several_classes_leave_each_something_to_train_on(
        self, rows: list[tuple[int, str]], fraction: float
    ) -> None:
        chosen = cut_val([label for label, _ in rows], [group for _, group in rows], fraction=fraction)
        assert {label for label, group in rows if group not in chosen} == {label for label, _ in rows}


class TestRealVideos:
    def test_course_root(self, shared: Path, tmp_path: Path) -> None:
        manifest = load(shared / "ufc10", cache_dir=tmp_path)
        assert manifest.problems == ()
        assert Counter(video.split for video in manifest.videos) == {"train": 276, "val": 63, "test": 61}
        assert manifest.classes[3:5] == ("JumpingJack", "JumpRope")
        handstand = next(
            video for video in manifest.videos if video.id.endswith("/v_HandStandPushups_g08_c03")
        )
        assert handstand.group == "HandstandPushups/g08"

    def test_group_disjoint_table_of_the_same_videos(self, shared: Path, tmp_path: Path) -> None:
        manifest = load(shared / "ufc10" / "clean_split.csv", cache_dir=tmp_path)
        assert manifest.problems == ()
        groups = [{video.group for video in manifest.split(split)} for split in ("train", "val")]
        assert not groups[0] & groups[1]
        course = load(shared / "ufc10", cache_dir=tmp_path)
        assert {video.digest for video in manifest.videos} == {video.digest for video in course.videos}

    def test_frames_and_their_videos_carry_the_same_labels(self, shared: Path, tmp_path: Path) -> None:
        frames = load(shared / "ufc10_frames", cache_dir=tmp_path)
        assert (frames.layout, len(frames.videos), frames.problems) == ("course (frames)", 100, ())
        course = {video.id: video for video in load(shared / "ufc10", cache_dir=tmp_path).videos}
        assert all(
            (course[v.id].label, course[v.id].split, course[v.id].group) == (v.label, v.split, v.group)
            for v in frames.videos
        )
