"""Which files are videos: by content where the name does not say so; what is none is counted, never lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.video import Frames, moving_square, write_clip
from tests.support.videos import open_cpu, video
from vidcls.data.checks.inspect import inspect
from vidcls.data.decoding.decode import decode
from vidcls.data.listing.files import find_videos
from vidcls.data.manifest import Manifest, read_manifest
from vidcls.data.scan import read_header
from vidcls.errors import VidclsError
from vidcls.spec.data import DataSection

SIZE = (24, 32)


def read(root: Path) -> Manifest:
    return read_manifest(DataSection(root=str(root)), cache_dir=None)


def notes(manifest: Manifest) -> list[str]:
    return [problem.message for problem in manifest.problems if problem.kind == "not_a_video"]


def write_animation(path: Path, frames: Frames, **options: object) -> Path:
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=40, loop=0, **options)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, of which each split has one plain video."""
    for number, split in enumerate(("train", "val")):
        for label in ("run", "walk"):
            folder = tmp_path / "root" / split / label
            folder.mkdir(parents=True)
            frames = moving_square(7, *SIZE, seed=2 * number + len(label))
            write_clip(folder / "plain.avi", frames, codec="mpeg4")
    return tmp_path / "root"


@pytest.mark.parametrize("name", ["clip.divx", "clip.xyz", "clip", "clip.data.2024", "clip.AVI", "clip.bin"])
def test_a_video_under_any_name_is_found_and_decodes(root: Path, tmp_path: Path, name: str) -> None:
    made = write_clip(tmp_path / "made.avi", moving_square(9, *SIZE), codec="mpeg4")
    shutil.move(made, root / "train" / "run" / name)
    manifest = read(root)
    (found,) = (each for each in manifest.videos if each.path.name == name)
    assert notes(manifest) == []
    assert inspect(found.path, "pyav").probe.num_frames == 9
    assert read_header(found.path).num_frames == 9


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".gif", {}),
        (".webp", {"lossless": True}),
        (".apng", {}),
        (".dat", {"format": "WEBP", "lossless": True}),
    ],
)
def test_animated_pictures_are_videos(root: Path, suffix: str, options: dict[str, object]) -> None:
    # Grey levels of which a GIF keeps each.
    frames = np.repeat(moving_square(7, *SIZE)[..., :1] // 16 * 16, 3, axis=-1)
    path = write_animation(root / "train" / "run" / f"moves{suffix}", frames, **options)
    assert path in {each.path for each in read(root).videos}
    seen = inspect(path, "pyav")
    assert (seen.probe.num_frames, seen.probe.height, seen.probe.width) == (7, *SIZE)
    assert seen.probe.decoder == "images"
    assert read_header(path).num_frames == 7
    assert (decode(path, None, size=SIZE, decoder="images") == frames).all()
    assert (decode(path, [2, 5, 5], size=SIZE, decoder="images") == frames[[2, 5, 5]]).all()


def test_what_is_transparent_is_shown_over_black(tmp_path: Path) -> None:
    frames = np.full((3, *SIZE, 4), 200, np.uint8)
    frames[..., 3] = 255
    frames[:, :, :16, 3] = 0
    frames[:, 0, 0] = np.arange(3)[:, None]  # frames that are all the same are stored once
    path = write_animation(tmp_path / "clear.webp", frames, lossless=True, exact=True)
    shown = decode(path, [1], size=SIZE, decoder="images")[0]
    assert (shown[1:, :16] == 0).all()
    assert (shown[:, 17:] == 200).all()


def test_a_folder_of_webp_frames_is_one_video_still(root: Path) -> None:
    folder = root / "train" / "run" / "still"
    folder.mkdir()
    for number, frame in enumerate(moving_square(4, *SIZE), start=1):
        Image.fromarray(frame).save(folder / f"frame_{number}.webp", lossless=True)
    assert folder in {each.path for each in read(root).videos}
    assert inspect(folder, "pyav").probe.num_frames == 4


def test_an_animation_among_frames_is_not_cut_to_its_first_picture(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        Image.new("RGB", SIZE[::-1], (number, 0, 0)).save(tmp_path / f"frame_{number}.png")
    write_animation(tmp_path / "frame_2.png", moving_square(3, *SIZE))
    with pytest.raises(VidclsError, match=r"frame_2\.png is an animated picture \(a whole video\)"):
        open_cpu([video(tmp_path)], tmp_path / "store")


def _text(path: Path) -> None:
    path.write_text("hello\n" * 100)


def _noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _still_gif(path: Path) -> None:
    Image.new("L", (16, 16)).save(path, format="GIF")


def _still_webp(path: Path) -> None:
    Image.new("RGB", (16, 16)).save(path, format="WEBP")


def _still_targa(path: Path) -> None:
    Image.new("RGB", (16, 16)).save(path, format="TGA")


def _still_jpeg(path: Path) -> None:
    Image.new("RGB", (16, 16)).save(path, format="JPEG")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("odd.xyz", _text),
        ("odd.xyz", _noise),
        ("odd.xyz", _empty),
        ("odd.gif", _still_gif),
        ("odd.xyz", _still_webp),
        ("odd.tga", _still_targa),
        ("odd", _still_jpeg),
    ],
)
def test_what_is_no_video_is_counted_and_named(root: Path, name: str, make: Callable[[Path], None]) -> None:
    make(root / "train" / "run" / name)
    manifest = read(root)
    assert len(manifest.videos) == 4
    ending = Path(name).suffix or "without an ending"
    assert notes(manifest) == [
        f"1 file is not a video: 1 {ending}; no video can be decoded from train/run/{name}"
    ]


def test_what_belongs_to_a_data_set_is_counted_by_ending_and_not_opened(root: Path, tmp_path: Path) -> None:
    made = write_clip(tmp_path / "made.mp4", moving_square(5, *SIZE), codec="mpeg4")
    for name in ("README.md", "LICENSE.txt", "train/labels.csv", "train/run/notes.txt"):
        (root / name).write_text("words")
    shutil.copy(made, root / "features.npz")  # the name is believed
    Image.new("RGB", (8, 8)).save(root / "val" / "run" / "cover.jpg")
    (root / ".DS_Store").write_bytes(b"hidden")
    (note,) = notes(read(root))
    assert note == "6 files are not videos: 2 .txt, 1 .md, 1 .npz, 1 .csv, 1 .jpg"


def test_files_beside_frames_are_counted_too(root: Path) -> None:
    folder = root / "train" / "run" / "frames"
    folder.mkdir()
    for number in (1, 2):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"frame_{number}.png")
    (folder / "times.json").write_text("[]")
    assert notes(read(root)) == ["1 file is not a video: 1 .json"]
    others: list[Path] = []
    assert folder in list(find_videos(root, others=others))
    assert others == [folder / "times.json"]
