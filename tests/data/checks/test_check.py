"""`vidcls data check`: what it finds, what it says, what it remembers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.encodings import Encoding
from tests.support.roots import Clip, build
from tests.support.video import moving_square, write_clip, write_frames
from tests.support.videos import open_cpu, video
from tests.support.waiting import PATIENCE_S
from vidcls.cli.data import app
from vidcls.data.checks.check import check
from vidcls.data.checks.findings import findings
from vidcls.data.checks.inspect import Inspection
from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.workers import Decoders, Failure, FailureKind

Clips = tuple[Clip, ...]
FRAMES = moving_square(40, 96, 128, seed=3, dx=5, dy=3)
B_FRAMES = {"bf": "2", "g": "12"}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def run_json(root: Path, store_dir: Path, *, exit_code: int) -> dict[str, Any]:
    result = run(root, "--store-dir", store_dir, "--workers", 2, "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def kinds_of(found: dict[str, Any]) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {name: set() for name in found["videos"]}
    for finding in found["findings"]:
        kinds.setdefault(finding["video"], set()).add(f"{finding['severity']}: {finding['kind']}")
    return kinds


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    pool = Decoders(workers=2, timeout_s=PATIENCE_S)
    yield pool
    pool.close()


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))


def with_header_frames(content: bytes, count: int) -> bytes:
    """An AVI whose headers promise `count` frames."""
    changed = bytearray(content)
    for chunk, offset in ((b"avih", 24), (b"strh", 40)):
        start = changed.index(chunk) + offset
        changed[start : start + 4] = struct.pack("<I", count)
    return bytes(changed)


def with_flipped_bits(content: bytes) -> bytes:
    changed = bytearray(content)
    for place in np.random.default_rng(0).integers(len(content) // 3, len(content) * 2 // 3, size=20):
        changed[place] ^= 1 << (place % 8)
    return bytes(changed)


def write_broken(folder: Path) -> dict[str, set[str]]:
    """Files of every kind of trouble; what should be found of each."""
    folder.mkdir()
    avi = write_clip(folder / "good.avi", FRAMES, codec="mpeg4").read_bytes()
    mp4 = write_clip(folder / "good.mp4", FRAMES[:35], options=B_FRAMES).read_bytes()
    mkv = write_clip(folder / "good.mkv", FRAMES[:30], options=B_FRAMES).read_bytes()
    Encoding("libx264", "avi", B_FRAMES).write(folder / "b_frames", FRAMES)
    Encoding("libx264", "mp4", steps=(1, 4, 2)).write(folder / "vfr", FRAMES)
    Encoding("libx264", "mp4", rotation=90).write(folder / "rotated", FRAMES)
    write_clip(folder / "odd.mkv", moving_square(9, 35, 51), codec="ffv1", pix_fmt="bgr0")
    write_clip(folder / "black.mp4", np.zeros((30, 64, 64, 3), np.uint8))
    write_clip(folder / "frozen.mp4", np.repeat(FRAMES[:1], 30, axis=0))
    write_sound(folder / "sound.mp4")
    made = {
        "copy.avi": avi,
        "cut.avi": avi[: len(avi) * 3 // 4],
        "cut.mkv": mkv[: len(mkv) // 2],
        "cut.mp4": mp4[: len(mp4) // 2],
        "endless.avi": with_header_frames(avi, 1_000_000),
        "few_off.avi": with_header_frames(avi, 42),
        "flipped.avi": with_flipped_bits(avi),
        "empty.avi": b"",
        "text.mp4": b"just some text\n" * 50,
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return {
        "good.avi": {"warning: duplicate"},
        "good.mp4": set(),
        "good.mkv": set(),
        "text.mp4": {"error: unreadable"},
        "cut.mp4": {"error: unreadable"},
        "cut.avi": {"warning: truncated"},
        "cut.mkv": {"warning: truncated"},
        "empty.avi": {"error: empty"},
        "sound.mp4": {"error: no_video"},
        "endless.avi": {"warning: header_count"},
        "few_off.avi": {"note: header_count"},
        "flipped.avi": {"warning: damaged"},
        "black.mp4": {"warning: black", "warning: frozen"},
        "frozen.mp4": {"warning: frozen"},
        "b_frames.avi": {"note: no_timestamps"},
        "vfr.mp4": {"note: variable_rate"},
        "rotated.mp4": {"note: rotated"},
        "odd.mkv": {"note: odd_size"},
    }


def test_every_kind_of_trouble_is_named(tmp_path: Path) -> None:
    expected = write_broken(tmp_path / "videos")
    found = run_json(tmp_path / "videos", tmp_path / "store", exit_code=3)
    kinds = kinds_of(found)
    duplicate = kinds.pop("copy.avi") | kinds.pop("good.avi")
    assert duplicate == expected.pop("good.avi")
    assert {name: seen for name, seen in kinds.items() if seen != expected[name]} == {}
    assert found["layout"] == "files"
    assert (found["num_videos"], found["num_good"]) == (len(expected) + 1, len(expected) - 2)
    assert found["videos"]["good.mp4"]["num_frames"] == 35
    assert all(finding["advice"] for finding in found["findings"])


def test_a_person_reads_names_and_what_to_do(tmp_path: Path) -> None:
    write_clip(tmp_path / "videos" / "good.mp4", FRAMES)
    good = run(tmp_path / "videos", "--store-dir", tmp_path / "store")
    assert good.exit_code == 0
    assert "1 of 1 videos decode" in good.stdout
    assert "nothing to report" in good.stdout
    (tmp_path / "videos/text.mp4").write_text("no video")
    for number in range(5):
        Encoding("libx264", "mp4", rotation=90).write(tmp_path / f"videos/turned{number}", FRAMES[number:])
    bad = run(tmp_path / "videos", "--store-dir", tmp_path / "store")
    assert bad.exit_code == 3
    assert "error: unreadable (1)\n  text.mp4: is not a video" in bad.stdout
    assert "-> replace the file by a good copy, or leave it out: data.bad_videos=skip" in bad.stdout
    assert "and 2 more; --all lists them" in bad.stdout
    assert "turned4.mp4" not in bad.stdout
    assert "turned4.mp4" in run(tmp_path / "videos", "--store-dir", tmp_path / "store", "--all").stdout


def test_one_file_and_roots_that_hold_nothing(tmp_path: Path) -> None:
    file = write_clip(tmp_path / "a.mp4", FRAMES)
    assert run(file, "--store-dir", tmp_path / "store").exit_code == 0
    (tmp_path / "b.mp4").write_text("no video")
    assert run(tmp_path / "b.mp4", "--store-dir", tmp_path / "store").exit_code == 3


@pytest.mark.parametrize("name", ["nowhere", "nothing"])
def test_a_root_without_videos_is_the_users_mistake(tmp_path: Path, name: str, decoders: Decoders) -> None:
    from vidcls.errors import UserError

    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=name):
        check(tmp_path / name, store_dir=tmp_path / "store", decoders=decoders)


def test_a_known_layout_brings_its_problems(clips: Clips, tmp_path: Path) -> None:
    root = build("course-videos", tmp_path / "root", clips)
    train, val = (next((root / "videos" / split).rglob("*.avi")) for split in ("train", "val"))
    val.write_bytes(train.read_bytes())
    next((root / "videos/test").rglob("*.avi")).unlink()
    found = run_json(root, tmp_path / "store", exit_code=3)
    assert found["layout"] == "course (videos)"
    messages = {finding["kind"]: finding["message"] for finding in found["findings"]}
    assert "across train and val" in messages["duplicate"]
    assert "missing" in messages


def test_folders_of_frames(tmp_path: Path) -> None:
    write_frames(tmp_path / "videos/good", FRAMES[:5])
    write_frames(tmp_path / "videos/frozen", np.repeat(FRAMES[:1], 5, axis=0))
    broken = write_frames(tmp_path / "videos/broken", FRAMES[5:9])
    (broken / "frame_2.png").write_bytes((broken / "frame_2.png").read_bytes()[:60])
    found = run_json(tmp_path / "videos", tmp_path / "store", exit_code=3)
    expected = {"good": set(), "frozen": {"warning: frozen"}, "broken": {"error: corrupt"}}
    assert kinds_of(found) == expected


def test_nothing_is_decoded_twice(tmp_path: Path, decoders: Decoders) -> None:
    path = write_clip(tmp_path / "videos/a.mp4", FRAMES)
    (tmp_path / "videos/b.mp4").write_text("no video")
    stages: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    first = check(tmp_path / "videos", store_dir=tmp_path, decoders=decoders, progress=progress)
    assert "probe" in stages
    stages.clear()
    again = check(tmp_path / "videos", store_dir=tmp_path, decoders=decoders, progress=progress)
    assert "probe" not in stages
    assert again == first
    # Training finds what the check has seen.
    known = video(path)
    known = type(known)(known.id, path, 0, "train", None, first.videos[0].digest)
    with open_cpu([known], tmp_path, progress=progress):
        assert "decode" in stages
        assert "probe" not in stages


def test_a_check_that_was_stopped_goes_on(tmp_path: Path, decoders: Decoders) -> None:
    for number in range(6):
        write_clip(tmp_path / f"videos/{number}.mp4", FRAMES[number:])
    totals: list[int] = []

    def stop_at_two(stage: str, done: int, total: int) -> None:
        totals.append(total)
        if (stage, done) == ("probe", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(tmp_path / "videos", store_dir=tmp_path, decoders=decoders, progress=stop_at_two)
    assert totals[-1] == 6
    totals.clear()
    check(
        tmp_path / "videos", store_dir=tmp_path, decoders=decoders,
        progress=lambda stage, done, total: totals.append(total) if stage == "probe" else None,
    )  # fmt: skip
    assert totals[-1] == 4


@pytest.mark.parametrize("kind", ["unreadable", "no_video", "corrupt", "timeout", "crash"])
def test_a_video_that_cannot_be_looked_at_is_an_error(kind: FailureKind) -> None:
    (finding,) = findings("a", Failure("why", lasting=False, kind=kind))
    assert (finding.kind, finding.severity, finding.message) == (kind, "error", "why")


def seen(num_frames: int = 100, **values: Any) -> Inspection:
    return Inspection(Probe(num_frames, 48, 64, 25.0, "pyav"), codec="h264", **values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"header_frames": 100, "header_duration_s": 4.0, "duration_s": 4.0}, []),
        ({"header_frames": 95}, [("header_count", "note")]),
        ({"header_frames": 94}, [("header_count", "warning")]),
        ({"header_frames": 150}, [("header_count", "warning")]),
        ({"header_frames": 150, "stopped": "File ended prematurely"}, [("truncated", "warning")]),
        ({"header_duration_s": 4.1, "duration_s": 4.0}, []),
        ({"header_duration_s": 8.0, "duration_s": 4.0}, [("header_duration", "warning")]),
        ({"num_black": 9, "num_frozen": 9}, []),
        ({"num_black": 10, "num_frozen": 10}, [("black", "note"), ("frozen", "note")]),
        ({"num_black": 50}, [("black", "warning")]),
        ({"num_other_size": 1}, [("changes_size", "warning")]),
        ({"num_damaged": 1, "stopped": "its last packet"}, [("truncated", "warning")]),
        ({"num_damaged": 3}, [("damaged", "warning")]),
        ({"num_frames": 1}, [("one_frame", "note")]),
    ],
)
def test_what_an_inspection_means(values: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert [(finding.kind, finding.severity) for finding in findings("a", seen(**values))] == expected


def test_real_files(shared: Path, tmp_path: Path) -> None:
    found = run_json(shared / "clips", tmp_path, exit_code=3)
    kinds = {name: seen for name, seen in kinds_of(found).items() if seen}
    assert kinds == {
        "corrupted.mp4": {"error: corrupt"},
        "unordered.mov": {"warning: frozen"},
        "RATRACE_wave_f_nm_np1_fr_goo_37.avi": {"note: header_count", "note: no_timestamps"},
        "video_90.mov": {"note: rotated"},
    }
