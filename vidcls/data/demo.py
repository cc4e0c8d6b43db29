"""motion10: a small synthetic data set of encoded videos whose classes need both colour and motion.

Ten classes are two appearances (a red or a blue object) times five motions (left, right, up, down, still).
A single frame shows only the appearance, so a model of single frames reaches 20 %; motion alone reaches 50 %,
both together 100 %; chance is 10 %. Three choices keep the motion out of a single frame:

* the object starts anywhere and wraps round the edges, so that its position is uniform in every class;
* it is drawn sharply at sub-pixel positions that are uniform too, without motion blur;
* every frame is coded independently (no P or B frames) with one fixed quantiser, so that compression
  artefacts of a frame cannot depend on other frames.

Layout under the root, as in the course:

    metadata/{train,val,test}.csv           video_name,video_path,action,label
    videos/{split}/{action}/{video_name}.avi   such as v_RedLeft_g03_c02: source 3 of RedLeft, second clip
    motion.csv                              video_name,frame,x_px,y_px,dx_px,dy_px: true motion, a row a frame
    motion10.json                           the seed and the version of the set
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path

import av
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from vidcls.arrays import Floats
from vidcls.data.decoding.workers import Decoders, Failure
from vidcls.data.digests import Progress
from vidcls.errors import UserError, VidclsError
from vidcls.process.cores import usable_cores

HEIGHT_PX, WIDTH_PX = 72, 96
FPS = 25
COLOURS = {"Red": (205, 65, 55), "Blue": (55, 80, 205)}
DIRECTIONS = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1), "Still": (0, 0)}
CLASSES = tuple(colour + motion for colour, motion in product(COLOURS, DIRECTIONS))


@dataclass(frozen=True)
class Amount:
    """Size of the set: number of sources per class in each split, and number of clips per source."""

    train: int = 16
    val: int = 8
    test: int = 8
    clips: int = 3

    @property
    def sources(self) -> Iterator[tuple[str, int]]:
        """Split and number of each source; each split has its own numbers."""
        splits = chain(*(["train"] * self.train, ["val"] * self.val, ["test"] * self.test))
        return ((split, number) for number, split in enumerate(splits, start=1))


@dataclass(frozen=True)
class _Source:
    """One scene with one object, from which clips are cut."""

    split: str
    label: int
    number: int


_STAMP = "motion10.json"
_TIMEOUT_S = 120.0  # for one source, which usually takes a fraction of a second
_FORM = 1  # increased when the pictures change, so that an older set is not used as this one


def make_demo(root: Path, *, seed: int = 0, progress: Progress | None = None) -> None:
    """Make motion10 in `root`: 960 clips of 24 to 32 frames, 72 x 96 px, 25 fps, 30 MB.

    The same seed gives the same bytes on one machine. The set is made in another folder and renamed, so that
    `root` is complete or absent; if it exists already, nothing is done. Two simultaneous calls make it once.

    Args:
        root: Folder to make; it may exist if it is empty.
        seed: Seed of all random draws.
        progress: Called with the number of finished sources and of all sources.

    Raises:
        UserError: If `root` holds something else, or motion10 with another seed.
    """
    make_demo_of(Amount(), root, seed=seed, progress=progress)


def make_demo_of(amount: Amount, root: Path, *, seed: int, progress: Progress | None = None) -> None:
    """Same as `make_demo` with another size, for tests."""
    root = root.absolute()
    stamp = {"set": "motion10", "form": _FORM, "seed": seed, "amount": vars(amount)}
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if _is_made(root, stamp):
            return
        partial = root.parent / f".{root.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # left over from a killed process
        try:
            _write_all(partial, amount, seed=seed, progress=progress)
            (partial / _STAMP).write_text(json.dumps(stamp) + "\n")
            partial.rename(root)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _is_made(root: Path, stamp: dict[str, object]) -> bool:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    hint = f"name another folder, or first remove this one: rm -r {root}"
    try:
        found = json.loads((root / _STAMP).read_text())
    except (OSError, ValueError):
        raise UserError(f"{root}: contains something other than motion10", hint=hint) from None
    if found != stamp:
        raise UserError(f"{root}: contains another motion10 ({found}) than requested ({stamp})", hint=hint)
    return True


def _write_all(root: Path, amount: Amount, *, seed: int, progress: Progress | None) -> None:
    sources = [
        _Source(split, label, number) for label in range(len(CLASSES)) for split, number in amount.sources
    ]
    for split, action in product(("train", "val", "test"), CLASSES):
        (root / "videos" / split / action).mkdir(parents=True)
    truth: dict[_Source, list[list[object]]] = {}
    workers = Decoders(workers=usable_cores(), timeout_s=_TIMEOUT_S)
    calls = ((root, source, amount.clips, seed) for source in sources)
    try:
        outcomes = workers.in_order(_write_source, calls, ahead=4 * workers.workers)
        for done, (source, outcome) in enumerate(zip(sources, outcomes, strict=True), start=1):
            if isinstance(outcome, Failure):
                raise VidclsError(f"{root.parent}: the demo data cannot be made: {outcome.reason}")
            truth[source] = outcome
            if progress is not None:
                progress(done, len(sources))
    finally:
        workers.close()
    (root / "metadata").mkdir()
    for split in ("train", "val", "test"):
        rows = [
            [name, f"{CLASSES[source.label]}/{name}.avi", CLASSES[source.label], source.label]
            for source in sources
            if source.split == split
            for name in _names(source, amount.clips)
        ]
        _write_csv(root / "metadata" / f"{split}.csv", "video_name,video_path,action,label", rows)
    rows = [row for source in sources for row in truth[source]]
    _write_csv(root / "motion.csv", "video_name,frame,x_px,y_px,dx_px,dy_px", rows)


def _names(source: _Source, num_clips: int) -> list[str]:
    return [f"v_{CLASSES[source.label]}_g{source.number:02d}_c{clip:02d}" for clip in range(1, num_clips + 1)]


def _write_csv(path: Path, header: str, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def _write_source(root: Path, source: _Source, num_clips: int, seed: int) -> list[list[object]]:
    """Draw and encode the clips of one source in a worker process; return its rows of motion.csv."""
    rng = np.random.default_rng([seed, source.label, source.number])
    action = CLASSES[source.label]
    scene = _Scene(rng, colour=COLOURS[next(c for c in COLOURS if action.startswith(c))])
    direction = np.array(DIRECTIONS[next(d for d in DIRECTIONS if action.endswith(d))])
    rows: list[list[object]] = []
    for name in _names(source, num_clips):
        step = direction * rng.uniform(1.5, 3.0)
        start = rng.uniform((0, 0), (WIDTH_PX, HEIGHT_PX))
        places = (start + step * np.arange(rng.integers(24, 33))[:, None]) % (WIDTH_PX, HEIGHT_PX)
        frames = [scene.frame(x, y, rng) for x, y in places]
        _encode(root / "videos" / source.split / action / f"{name}.avi", frames)
        dx, dy = (round(float(value), 3) for value in step)
        rows += [[name, i, round(float(x), 3), round(float(y), 3), dx, dy] for i, (x, y) in enumerate(places)]
    return rows


class _Scene:
    """Grey textured background and coloured textured object, the same in all clips of a source."""

    def __init__(self, rng: np.random.Generator, *, colour: tuple[int, int, int]) -> None:
        background = np.sum([_smooth_noise(rng, cell_px=cell) for cell in (6, 16, 40)], axis=0)
        self.background = 125 + rng.uniform(15, 25) * background[..., None] + rng.normal(0, 6, size=3)
        self.colour = np.array(colour) + rng.normal(0, 12, size=3)
        self.radius_px = rng.uniform(10, 14)
        self.roundness = rng.uniform(1.5, 5)  # exponent of a superellipse: from a diamond to a square
        angle = rng.uniform(0, np.pi)
        self.stripes = np.array([np.cos(angle), np.sin(angle)]) * 2 * np.pi / rng.uniform(6, 12)
        self.phase = rng.uniform(0, 2 * np.pi)

    def frame(self, x: float, y: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Frame with the object centred at `(x, y)` px, wrapped round the edges, and with new noise."""
        across = (np.arange(WIDTH_PX) - x + WIDTH_PX / 2) % WIDTH_PX - WIDTH_PX / 2
        along = ((np.arange(HEIGHT_PX) - y + HEIGHT_PX / 2) % HEIGHT_PX - HEIGHT_PX / 2)[:, None]
        power = self.roundness
        distance = (np.abs(across) ** power + np.abs(along) ** power) ** (1 / power)
        cover = np.clip(self.radius_px - distance + 0.5, 0, 1)[..., None]  # soft edge of one pixel
        stripe = np.sin(across * self.stripes[0] + along * self.stripes[1] + self.phase)[..., None]
        clean = self.background * (1 - cover) + (self.colour + 30 * stripe) * cover
        noise = rng.normal(0, 3, size=(HEIGHT_PX, WIDTH_PX, 1))
        frame: NDArray[np.uint8] = np.clip(clean + noise, 0, 255).round().astype(np.uint8)
        return frame


def _smooth_noise(rng: np.random.Generator, *, cell_px: int) -> Floats:
    """Noise `[H, W]` with mean 0 and variance about 1, bilinear between knots `cell_px` apart."""
    knots = rng.normal(size=(HEIGHT_PX // cell_px + 2, WIDTH_PX // cell_px + 2))
    for axis, length in enumerate((HEIGHT_PX, WIDTH_PX)):
        low, share = np.divmod(np.arange(length) / cell_px, 1)
        before = np.take(knots, low.astype(int), axis=axis)
        after = np.take(knots, low.astype(int) + 1, axis=axis)
        share = share[:, None] if axis == 0 else share
        knots = before * (1 - share) + after * share
    return knots


def _encode(path: Path, frames: Sequence[NDArray[np.uint8]]) -> None:
    # Every frame is coded independently with one quantiser: see the module docstring.
    options = {"g": "1", "bf": "0", "qmin": "4", "qmax": "4", "flags": "+bitexact"}
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT_PX, WIDTH_PX, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
