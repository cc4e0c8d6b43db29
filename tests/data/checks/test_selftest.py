"""The self-test of the decoders tells right frames from wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.encodings import Encoding
from tests.support.video import moving_square, write_clip, write_frames
from vidcls.cli.data import app
from vidcls.data.checks.selftest import Verdict, compare, ways
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.readers import decord_is_there

needs_decord = pytest.mark.skipif(
    not decord_is_there(), reason="decord has no wheel for this machine: run on x86-64 Linux"
)
FRAMES = moving_square(40, 48, 64, dx=5, dy=3)


def test_good_files_are_read_rightly_by_all(tmp_path: Path) -> None:
    path = Encoding("libx264", "mp4", {"bf": "3", "g": "12"}).write(tmp_path / "a", FRAMES)
    for way in ways():
        verdict = compare(path, way)
        assert verdict.is_right, way
        assert verdict.num_exact + verdict.num_near == (16 if way.endswith("random") else 40)


@needs_decord
def test_wrong_frames_and_phantoms_are_seen(shared: Path) -> None:
    path = shared / "clips/RATRACE_wave_f_nm_np1_fr_goo_37.avi"
    assert compare(path, "decord in order") == Verdict(num_exact=72, num_phantom=1)
    assert compare(path, "decord random").num_wrong > 8
    assert compare(path, "pyav random").problem == "timestamps out of order, so seeking was not tried"
    shifted = compare(shared / "clips/v_biking_01_01.mpg", "decord in order")
    assert (shifted.num_exact, shifted.num_wrong) == (1, 150)
    assert not compare(shared / "clips/av1_video.mkv", "decord in order").is_right
    other_colours = compare(shared / "clips/h264_10bits.mp4", "decord in order")
    assert (other_colours.num_near, other_colours.is_right) == (30, True)


def test_a_bad_file_has_no_truth(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(DecodeError):
        compare(tmp_path / "a.mp4", "opencv in order")


def test_the_command_shows_and_remembers_them(tmp_path: Path) -> None:
    write_clip(tmp_path / "videos/a.avi", FRAMES, codec="mpeg4")
    write_frames(tmp_path / "videos/frames", FRAMES[:3])
    arguments = ["check", str(tmp_path / "videos"), "--store-dir", str(tmp_path / "s"), "--decoders"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "opencv in order" in shown.stdout
    first = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["decoders"]
    assert {way: list(files) for way, files in first.items()} == {way: ["a.avi"] for way in ways()}
    assert first["opencv in order"]["a.avi"]["num_exact"] == 40
    # The file goes, and another of the same content comes: nothing is compared again.
    (tmp_path / "videos/a.avi").rename(tmp_path / "videos/b.avi")
    again = json.loads(CliRunner().invoke(app, [*arguments, "--json", "--timeout-s", "0.1"]).stdout)[
        "decoders"
    ]
    assert again["opencv in order"]["b.avi"] == first["opencv in order"]["a.avi"]
