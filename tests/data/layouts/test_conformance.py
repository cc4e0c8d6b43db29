"""One suite that every layout must pass, and what is particular to each."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.roots import (
    CLASSES,
    LAYOUTS,
    THREE_SPLITS,
    WITH_IDS,
    WITH_TABLE,
    Clip,
    build,
    named,
    put,
    write_course_table,
    write_csv,
)
from vidcls.choices import Layout
from vidcls.data.decoding.frame_folders import frame_files, natural_key
from vidcls.data.listing.files import find_videos
from vidcls.data.manifest import Manifest, read_manifest
from vidcls.errors import UserError
from vidcls.spec.data import DataSection

Clips = tuple[Clip, ...]
TABLED = [layout for layout in LAYOUTS if layout.startswith(WITH_TABLE)]


def read(root: Path, **settings: object) -> Manifest:
    return read_manifest(DataSection.model_validate({"root": str(root), **settings}), cache_dir=None)


def stem(path: Path) -> str:
    return path.stem if path.suffix == ".avi" else path.name


def test_no_layout_is_left_out() -> None:
    folders = {"split": "split/class/video", "class": "class/video"}
    families = {layout.partition("-")[0] for layout in LAYOUTS}
    assert {folders.get(family, family) for family in families} == set(get_args(Layout)) - {"auto"}


@pytest.mark.parametrize("layout", LAYOUTS)
class TestEveryLayout:
    def test_gives_the_same_labels_groups_and_splits(self, layout: str, clips: Clips, tmp_path: Path) -> None:
        manifest = read(build(layout, tmp_path / "root", clips))
        clips = named(layout, clips)

        assert [problem for problem in manifest.problems if not problem.note] == []
        found = {stem(video.path): video for video in manifest.videos}
        assert {name: manifest.classes[video.label] for name, video in found.items()} == {
            clip.name: clip.action for clip in clips
        }
        assert {name: video.group for name, video in found.items()} == {c.name: c.group for c in clips}
        split_of = {name: str(video.split) for name, video in found.items()}
        if layout.startswith(THREE_SPLITS):
            assert split_of == {clip.name: clip.split for clip in clips}
            assert not manifest.val_is_cut
        else:
            has_test = layout.startswith(("ucf101", "hmdb51"))
            test = {clip.name for clip in clips if clip.split == "test"} if has_test else set()
            assert {name for name, split in split_of.items() if split == "test"} == test
            assert manifest.val_is_cut
            assert any(problem.kind == "val_cut" for problem in manifest.problems)
            groups = {split: {video.group for video in manifest.split(split)} for split in ("train", "val")}
            assert not groups["train"] & groups["val"]
            assert Counter(video.label for video in manifest.split("val")) == {0: 2, 1: 2, 2: 2}

    def test_takes_the_label_order_of_the_tables(self, layout: str, clips: Clips, tmp_path: Path) -> None:
        manifest = read(build(layout, tmp_path / "root", clips))
        has_ids = layout.startswith(WITH_IDS)
        assert manifest.classes == (CLASSES if has_ids else tuple(sorted(CLASSES)))

    def test_identity_is_content_not_place(self, layout: str, clips: Clips, tmp_path: Path) -> None:
        first = read(build(layout, tmp_path / "one", clips))
        second = read(build(layout, tmp_path / "elsewhere" / "two", tuple(reversed(clips))))
        assert first.hash == second.hash
        changed = second.videos[4].path
        (frame_files(changed)[0] if changed.is_dir() else changed).write_bytes(b"other bytes")
        assert read(second.root).hash != first.hash

    def test_written_manifest_reads_back_the_same(self, layout: str, clips: Clips, tmp_path: Path) -> None:
        manifest = read(build(layout, tmp_path / "root", clips))
        table = tmp_path / "else" / "where" / "table.csv"
        manifest.write_csv(table)
        again = read(table)

        assert again.classes == manifest.classes
        assert {(v.path.resolve(), v.label, v.split, v.group, v.digest) for v in again.videos} == {
            (v.path.resolve(), v.label, v.split, v.group, v.digest) for v in manifest.videos
        }
        assert not again.val_is_cut
        assert all(str(tmp_path) not in line for line in table.read_text().splitlines())

    def test_hidden_files_are_ignored(self, layout: str, clips: Clips, tmp_path: Path) -> None:
        root = build(layout, tmp_path / "root", clips)
        folder = tmp_path / "root"
        expected = read(root).hash
        for inner in [path for path in folder.rglob("*") if path.is_dir()]:
            (inner / ".DS_Store").write_bytes(b"x")
            (inner / "._v_Lunges_g09_c01.avi").write_bytes(b"x")
            (inner / "._frame_1.png").write_bytes(b"x")
        manifest = read(root)
        assert manifest.hash == expected
        assert [problem for problem in manifest.problems if not problem.note] == []

    def test_names_an_empty_video(self, layout: str, clips: Clips, tmp_path: Path) -> None:
        root = build(layout, tmp_path / "root", clips)
        name = named(layout, clips)[13].name
        victim = next(video for video in read(root).videos if name in video.id)
        (frame_files(victim.path)[1] if victim.path.is_dir() else victim.path).write_bytes(b"")
        manifest = read(root)
        (problem,) = [problem for problem in manifest.problems if problem.kind == "empty"]
        assert str(victim.path) in problem.message
        assert len(manifest.videos) == len(clips) - 1


@pytest.mark.parametrize("layout", [layout for layout in TABLED if not layout.startswith("csv")])
def test_counts_what_is_no_video_and_no_table_of_the_layout(
    layout: str, clips: Clips, tmp_path: Path
) -> None:
    root = build(layout, tmp_path / "root", clips)
    folder = read(root).videos[0].path.parent
    assert [problem for problem in read(root).problems if problem.kind == "not_a_video"] == []
    (folder / "notes.md").write_text("words")
    (note,) = [problem for problem in read(root).problems if problem.kind == "not_a_video"]
    assert note.message == "1 file is not a video: 1 .md"


@pytest.mark.parametrize("layout", TABLED)
def test_names_missing_and_extra_videos(layout: str, clips: Clips, tmp_path: Path) -> None:
    root = build(layout, tmp_path / "root", clips)
    name = named(layout, clips)[4].name
    victim = next(video for video in read(root).videos if name in video.id)
    victim.path.rename(victim.path.with_name("surprise" + victim.path.suffix))
    manifest = read(root)

    kinds = {problem.kind: problem.message for problem in manifest.problems if problem.kind != "val_cut"}
    assert set(kinds) == {"missing", "unlisted" if layout.startswith("csv") else "extra"}
    assert victim.path.stem in kinds.pop("missing")
    assert "surprise" in kinds.popitem()[1]
    assert victim.id not in {video.id for video in manifest.videos}


@pytest.mark.parametrize("layout", ["csv-videos", "ucf101-videos"])
def test_a_table_may_list_one_video_twice(layout: str, clips: Clips, tmp_path: Path) -> None:
    root = build(layout, tmp_path / "root", clips)
    name = "table.csv" if layout.startswith("csv") else "trainlist01.txt"
    table = next((tmp_path / "root").rglob(name))
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[3]]) + "\n")
    manifest = read(root)
    (problem,) = [problem for problem in manifest.problems if problem.fatal]
    assert problem.kind == "doubly_listed"
    assert f"{table.name}:4" in problem.message
    assert f"{table.name}:{len(lines) + 1}" in problem.message
    assert len(manifest.videos) == len(clips)


class TestCourse:
    def test_one_video_in_two_splits(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        train = [clip for clip in clips if clip.split == "train"]
        write_course_table(root, "val", [*(c for c in clips if c.split == "val"), train[0]])
        (problem,) = [problem for problem in read(root).problems if problem.fatal]
        assert problem.kind == "doubly_listed"
        for part in (train[0].name, "metadata/train.csv:2", "metadata/val.csv:8", "train and val"):
            assert part in problem.message

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("Lunges,2", "Lunges,1", "class Lunges has id 1 here and 2 in metadata/train.csv"),
            ("Lunges,2", "Jumps,2", "id 2 is class Jumps here, Lunges in metadata/train.csv"),
            ("Lunges,2", "Lunges,two", "'two'"),
            ("Lunges,2", ",2", "no class name"),
        ],
    )
    def test_bad_labels(self, clips: Clips, tmp_path: Path, old: str, new: str, said: str) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        table = root / "metadata" / "val.csv"
        table.write_text(table.read_text().replace(old, new, 1))
        (problem,) = [problem for problem in read(root).problems if problem.fatal]
        assert problem.kind == "label"
        assert "metadata/val.csv:6" in problem.message
        assert said in problem.message

    def test_source(self, clips: Clips, tmp_path: Path) -> None:
        both = build("course-both", tmp_path / "both", clips)
        assert read(both).layout == read(both, source="videos").layout == "course (videos)"
        frames = read(both, source="frames")
        assert frames.layout == "course (frames)"
        assert all(video.path.is_dir() for video in frames.videos)
        only = build("course-videos", tmp_path / "only", clips)
        with pytest.raises(UserError, match="has only videos/"):
            read(only, source="frames")
        shutil.rmtree(only / "videos")
        with pytest.raises(UserError, match="none of videos/, frames/ and flows/"):
            read(only)

    def test_a_table_without_a_column(self, clips: Clips, tmp_path: Path) -> None:
        root = build("course-videos", tmp_path / "root", clips)
        write_csv(root / "metadata" / "val.csv", ("video_name", "action"), [])
        with pytest.raises(UserError, match=r"val\.csv:1: no column video_path, label"):
            read(root)


class TestTable:
    def test_rows_that_cannot_be_used(self, clips: Clips, tmp_path: Path) -> None:
        root = build("csv-videos", tmp_path / "root", clips)
        with root.open("a") as file:
            file.write("a.avi,Lunges,trian\n,Lunges,train\nb.avi,,train\nc.avi\n")
        fatal = [str(problem) for problem in read(root).problems if problem.fatal]
        assert fatal == [
            "split: table.csv:20: split 'trian' is not train, val or test",
            "table: table.csv:21: no path",
            "label: table.csv:22: no label",
            "label: table.csv:23: no label",
        ]

    def test_groups_come_from_their_column_first(self, clips: Clips, tmp_path: Path) -> None:
        root = build("csv-videos", tmp_path / "root", clips)
        rows = [line.split(",") for line in root.read_text().splitlines()[1:]]
        rows = [[*row, "mine" if index == 0 else ""] for index, row in enumerate(rows)]
        write_csv(root, ("path", "label", "split", "group"), rows)
        groups = Counter(video.group for video in read(root).videos)
        assert groups["mine"] == groups["WallPushups/g09"] == 1

    def test_numbers_as_labels_are_sorted_as_numbers(self, clips: Clips, tmp_path: Path) -> None:
        put(clips[0], tmp_path / "a", as_frames=False)
        rows = [("a.avi", label, "train") for label in (10, 9, 2)]
        assert read(write_csv(tmp_path / "t.csv", ("path", "label", "split"), rows)).classes == (
            "2",
            "9",
            "10",
        )

    def test_a_byte_order_mark_and_spaces_do_no_harm(self, clips: Clips, tmp_path: Path) -> None:
        put(clips[0], tmp_path / "a", as_frames=False)
        (tmp_path / "t.csv").write_text(
            "\ufeffpath, label, split\r\na.avi, Lunges, Train\r\n", encoding="utf-8"
        )
        (video,) = read(tmp_path / "t.csv").videos
        assert (video.id, video.split) == ("a.avi", "train")

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'path,label,split\n"a', b"a,b\n"])
    def test_a_file_that_is_no_table(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "t.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"t\.csv"):
            read(tmp_path / "t.csv")


class TestFolders:
    def test_other_names_of_splits(self, clips: Clips, tmp_path: Path) -> None:
        root = build("split-videos", tmp_path / "root", clips)
        (root / "val").rename(root / "Validation")
        manifest = read(root)
        assert {clip.name for clip in clips if clip.split == "val"} == {
            stem(video.path) for video in manifest.split("val")
        }

    def test_a_class_may_be_called_train(self, clips: Clips, tmp_path: Path) -> None:
        root = build("class-videos", tmp_path / "root", clips)
        (root / "Lunges").rename(root / "train")
        assert read(root).classes == ("HandstandPushups", "WallPushups", "train")

    def test_names_videos_in_odd_places_and_copies(self, clips: Clips, tmp_path: Path) -> None:
        root = build("split-videos", tmp_path / "root", clips)
        put(clips[0], root / "stray", as_frames=False)
        put(clips[0], root / "test" / "Lunges" / "copy", as_frames=False)
        problems = {problem.kind: problem for problem in read(root).problems}
        assert set(problems) == {"extra", "same_content"}
        assert not any(problem.fatal or problem.note for problem in problems.values())
        assert "stray.avi" in problems["extra"].message
        for part in ("test/Lunges/copy.avi [test]", f"{clips[0].name}.avi [train]"):
            assert part in problems["same_content"].message

    def test_a_thumbnail_does_not_turn_a_class_into_a_video(self, clips: Clips, tmp_path: Path) -> None:
        root = build("class-videos", tmp_path / "root", clips)
        shutil.copy(frame_files(clips[0].frames)[0], root / "Lunges" / "cover.png")
        assert len(read(root).videos) == len(clips)


class TestUCF101:
    def test_split_number(self, clips: Clips, tmp_path: Path) -> None:
        root = build("ucf101-videos", tmp_path / "root", clips)
        default, second = read(root), read(root, split_number=2)
        assert default.hash == read(root, split_number=1).hash != second.hash
        assert {stem(v.path) for v in second.split("test")} == {c.name for c in clips if c.split == "val"}
        (root / "ucfTrainTestlist" / "testlist03.txt").unlink()
        with pytest.raises(UserError, match=r"testlist03\.txt does not exist"):
            read(root, split_number=3)

    def test_spelling_of_folders_may_differ_in_case(self, clips: Clips, tmp_path: Path) -> None:
        root = build("ucf101-videos", tmp_path / "root", clips)
        (root / "UCF-101" / "HandstandPushups").rename(root / "UCF-101" / "HandStandPushups")
        manifest = read(root)
        assert len(manifest.videos) == len(clips)
        assert {video.group for video in manifest.videos} == {clip.group for clip in clips}

    def test_lists_that_disagree(self, clips: Clips, tmp_path: Path) -> None:
        root = build("ucf101-videos", tmp_path / "root", clips)
        lists = root / "ucfTrainTestlist"
        train = lists / "trainlist01.txt"
        train.write_text(train.read_text().replace(".avi 3", ".avi 1", 1))
        with (lists / "testlist01.txt").open("a") as file:
            file.write("Diving/v_Diving_g01_c01.avi\n")
        said = [problem.message for problem in read(root).problems if problem.kind == "label"]
        assert "class Lunges has id 1 here and 3 in classInd.txt:3" in said[0]
        assert "Diving/v_Diving_g01_c01.avi has a class that is not in" in said[1]


class TestUnknownRoots:
    def test_says_what_was_looked_for_and_found(self, clips: Clips, tmp_path: Path) -> None:
        put(clips[0], tmp_path / "loose", as_frames=False)
        with pytest.raises(UserError) as caught:
            read(tmp_path)
        for part in ("path,label[,split]", "metadata/", "classInd.txt", "CLASS/VIDEO", "loose.avi"):
            assert part in caught.value.message

    def test_empty_absent_and_odd_roots(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="found nothing"):
            read(tmp_path)
        with pytest.raises(UserError, match="does not exist"):
            read(tmp_path / "absent")
        (tmp_path / "clean_split.csv").write_text("path,label,split\n")
        with pytest.raises(UserError, match=r"does not exist; did you mean .*/clean_split\.csv\?"):
            read(tmp_path / "clean_spilt.csv")
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(UserError, match="a file ending in"):
            read(tmp_path / "notes.txt")

    @pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if not layout.startswith("course")])
    def test_source_is_refused_where_it_has_no_effect(
        self, layout: str, clips: Clips, tmp_path: Path
    ) -> None:
        with pytest.raises(UserError, match=r"data\.source: frames has no effect"):
            read(build(layout, tmp_path / "root", clips), source="frames")

    @pytest.mark.parametrize(
        "layout", [layout for layout in LAYOUTS if not layout.startswith(("ucf101", "hmdb51"))]
    )
    def test_split_number_is_refused_where_it_has_no_effect(
        self, layout: str, clips: Clips, tmp_path: Path
    ) -> None:
        with pytest.raises(UserError, match=r"data\.split_number: 1 has no effect"):
            read(build(layout, tmp_path / "root", clips), split_number=1)


class TestFiles:
    def test_frames_come_in_natural_order(self, tmp_path: Path) -> None:
        for number in (1, 2, 10, 9, 100):
            (tmp_path / f"frame_{number}.jpg").write_bytes(b"x")
        (tmp_path / "notes.txt").write_bytes(b"x")
        assert [path.stem for path in frame_files(tmp_path)] == [
            "frame_1",
            "frame_2",
            "frame_9",
            "frame_10",
            "frame_100",
        ]

    @given(
        st.lists(st.integers(0, 10**6), unique=True), st.text("ab_.", max_size=4), st.text("xy", max_size=2)
    )
    def test_numbers_sort_by_value(self, numbers: list[int], before: str, after: str) -> None:
        names = [f"{before}{number}{after}" for number in numbers]
        assert sorted(names, key=natural_key) == [f"{before}{number}{after}" for number in sorted(numbers)]

    @given(st.lists(st.text(), unique=True))
    def test_order_is_total_for_any_names(self, names: list[str]) -> None:
        backwards = names[::-1]
        assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)

    def test_a_cycle_of_links_ends(self, clips: Clips, tmp_path: Path) -> None:
        put(clips[0], tmp_path / "a" / "video", as_frames=False)
        (tmp_path / "a" / "again").symlink_to(tmp_path)
        assert tmp_path / "a" / "video.avi" in list(find_videos(tmp_path))
