"""`vidcls data scan`: what it shows, names, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support.roots import LAYOUTS, Clip, build
from tests.support.video import moving_square, write_clip
from vidcls.cli.data import app
from vidcls.data.manifest import load_manifest
from vidcls.data.scan import read_header
from vidcls.errors import UserError
from vidcls.spec.data import DataSection

Clips = tuple[Clip, ...]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["scan", *map(str, arguments)])


def run_json(*arguments: object, exit_code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scans_every_layout(layout: str, clips: Clips, tmp_path: Path) -> None:
    found = run_json(build(layout, tmp_path / "root", clips))
    assert found["num_videos"] == len(clips)
    assert found["num_groups"] == (0 if layout.startswith("ssv2") else 9)
    assert found["sizes"] == {"32x24": len(clips)}
    assert all(problem["kind"] in ("val_cut", "not_a_video") for problem in found["problems"])
    if layout.endswith("frames"):
        assert found["num_frames"] == {"min": 3, "median": 3, "max": 3, "num_distinct": 1}
        assert "fps" not in found
    else:
        assert found["fps"] == {"min": 25, "median": 25, "max": 25, "num_distinct": 1}
        assert found["duration_s"]["median"] == pytest.approx(11 / 25)


def test_tables_show_splits_groups_and_sizes(clips: Clips, tmp_path: Path) -> None:
    result = run(build("course-videos", tmp_path / "root", clips))
    assert result.exit_code == 0
    for part in ("course (videos)", "HandstandPushups", "groups: 9", "0 of 6 val videos", "32x24 (18)"):
        assert part in result.stdout
    assert "no problems" in result.stdout
    assert "data split" not in result.stdout, "no group is in two splits"


def test_counts_groups_shared_with_train(clips: Clips, tmp_path: Path) -> None:
    root = build("csv-videos", tmp_path / "root", clips)
    root.write_text(root.read_text().replace("g09_c02.avi,Lunges,train", "g09_c02.avi,Lunges,test"))
    assert run_json(root)["num_sharing_train"] == {
        "val": {"shared": 0, "videos": 6},
        "test": {"shared": 1, "videos": 7},
    }
    shown = run(root).stdout
    assert f"vidcls data split {root} --out clean.csv" in shown
    assert "no problems with the files" in shown


def test_names_every_bad_video_where_loading_refuses(clips: Clips, tmp_path: Path) -> None:
    root = build("course-videos", tmp_path / "root", clips)
    videos = sorted((root / "videos").rglob("*.avi"))
    videos[0].write_bytes(b"no videos" * 100)
    videos[3].write_bytes(b"")
    videos[6].unlink()
    write_clip(root / "videos" / "val" / "Lunges" / "more.mp4", moving_square(4, 24, 32))
    with pytest.raises(UserError):
        load_manifest(DataSection(root=str(root)), cache_dir=tmp_path / "cache")

    found = run_json(root, "--write-manifest", tmp_path / "t.csv", exit_code=3)
    named = {problem["kind"]: problem["message"] for problem in found["problems"]}
    assert set(named) == {"unreadable", "empty", "missing", "extra"}
    for kind, name in (("unreadable", videos[0]), ("empty", videos[3]), ("missing", videos[6])):
        assert name.name in named[kind]
    assert "videos/val/Lunges/more.mp4" in named["extra"]
    # Narrow terminals must not break names.
    assert all(f"{kind}: {message}" in run(root).stdout for kind, message in named.items())
    written = load_manifest(DataSection(root=str(tmp_path / "t.csv")), cache_dir=tmp_path / "cache")
    assert len(written.videos) == found["num_videos"] == len(clips) - 3


@pytest.mark.parametrize("layout", ["course-videos", "class-frames", "ucf101-videos"])
def test_written_manifest_is_a_data_root(layout: str, clips: Clips, tmp_path: Path) -> None:
    root, table = build(layout, tmp_path / "root", clips), tmp_path / "root" / "new.csv"
    first = run_json(root, "--write-manifest", table)
    again = run_json(table)
    assert again["layout"] == "csv"
    assert again["counts"] == first["counts"]
    assert not again["val_is_cut"]
    assert ".." not in table.read_text()
    assert str(tmp_path) not in table.read_text()


def test_unusable_roots_and_options(clips: Clips, tmp_path: Path) -> None:
    assert isinstance(run(tmp_path / "absent").exception, UserError)
    assert isinstance(run(tmp_path).exception, UserError)
    assert run(tmp_path, "--split-number", 4).exit_code == 2
    root = build("ucf101-videos", tmp_path / "root", clips)
    assert run_json(root, "--split-number", 2)["layout"] == "ucf101 (split 2)"
    assert isinstance(run(root, "--source", "frames").exception, UserError)
    assert isinstance(run(root, "--write-manifest", tmp_path / "t.txt").exception, UserError)


def test_how_pictures_are_read_is_a_note(clips: Clips, tmp_path: Path) -> None:
    root = build("class-frames", tmp_path / "root", clips)
    folders = sorted(path for path in root.rglob("v_*") if path.is_dir())
    for folder in folders[:2]:
        for file in sorted(folder.iterdir()):
            deep = np.asarray(Image.open(file).convert("L")).astype(np.uint16) * 257
            Image.fromarray(deep).save(file)
    found = run_json(root)
    (note,) = (problem["message"] for problem in found["problems"] if problem["kind"] == "read_as")
    assert note.endswith(" and 1 more: reduced from 16 bits per channel to the upper 8 bits")
    assert "no problems" in run(root).stdout


def test_real_roots(shared: Path) -> None:
    found = run_json(shared / "ufc10")
    assert found["problems"] == []
    assert found["num_sharing_train"]["val"] == {"shared": 60, "videos": 63}
    assert found["fps"]["num_distinct"] == 2
    assert run_json(shared / "ufc10" / "clean_split.csv")["num_sharing_train"] == {
        "val": {"shared": 0, "videos": 80}
    }
    assert run_json(shared / "ufc10_frames")["sizes"] == {"224x224": 100}


def test_real_files_of_many_kinds_can_be_opened(shared: Path) -> None:
    headers = {path.name: read_header(path) for path in sorted((shared / "clips").iterdir())}
    assert all(header.height > 0 and header.width > 0 for header in headers.values())
