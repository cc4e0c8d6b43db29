"""Groups as file names tell them, and where they are not believed."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from tests.data.layouts.reading import put, read, said, write
from vidcls.cli.data import app
from vidcls.errors import UserError

CAMERAS = tuple(
    f"{action}/camera_left_{n:06}_{n + 10:06}.mp4" for action in ("a", "b") for n in range(0, 50, 10)
)


def test_a_camera_is_not_taken_for_a_source(tmp_path: Path) -> None:
    manifest = read(put(tmp_path, *CAMERAS))
    assert {video.group for video in manifest.videos} == {None}
    assert len(manifest.split("val")) == 2
    (warning,) = said(manifest, "group_doubted")
    assert "all 5 videos of class a would be one source (camera_left); this is unlikely" in warning
    assert "column group" in warning
    assert CliRunner().invoke(app, ["scan", str(tmp_path)]).exit_code == 3


def test_nor_are_two_cameras_in_each_class(tmp_path: Path) -> None:
    names = [name.replace("left", side) for name in CAMERAS for side in ("left", "back")]
    manifest = read(put(tmp_path, *names))
    assert {video.group for video in manifest.videos} == {None}
    assert len(said(manifest, "group_doubted")) == 2


def test_all_of_a_class_in_one_group_of_any_pattern(tmp_path: Path) -> None:
    many = [f"b/v_b_g{group:02}_c{clip:02}.avi" for group in (1, 2) for clip in (1, 2)]
    manifest = read(put(tmp_path, *(f"a/v_a_g01_c{clip:02}.avi" for clip in (1, 2, 3)), *many))
    assert {(video.id[0], video.group) for video in manifest.videos} == {
        ("a", None),
        ("b", "b/g01"),
        ("b", "b/g02"),
    }
    assert "all 3 videos of class a" in said(manifest, "group_doubted")[0]


def test_sources_of_youtube_are_believed(tmp_path: Path) -> None:
    sources = {"a": ("-0aMp7cK3W1", "x0aMp7cK3W2"), "b": ("y0aMp7cK3W3", "_0aMp7cK3W4")}
    times = ("000000_000010", "000010_000020")
    names = [f"{a}/{source}_{time}.mp4" for a in sources for source in sources[a] for time in times]
    manifest = read(put(tmp_path, *names))
    assert {video.group for video in manifest.videos} == {
        f"source/{source}" for both in sources.values() for source in both
    }
    assert said(manifest, "group_doubted") == []


def test_a_column_of_groups_is_believed(tmp_path: Path) -> None:
    put(tmp_path, *CAMERAS)
    rows = "".join(f"{name},{name[0]},one\n" for name in CAMERAS)
    manifest = read(write(tmp_path / "t.csv", f"path,label,group\n{rows}"))
    assert {video.group for video in manifest.videos} == {"one"}
    assert said(manifest, "group_doubted") == []


def test_the_audit_by_name_does_not_believe_it_either(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app,
        ["audit", str(put(tmp_path / "root", *CAMERAS)), "--by", "name", "--store-dir", str(tmp_path / "s")],
    )
    assert isinstance(result.exception, UserError)
    assert "no video" in str(result.exception)
