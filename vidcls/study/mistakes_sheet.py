"""Contact sheet of mistakes: a few frames of each video, with its true class and what runs predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.data.manifest import Video
from vidcls.drawing import DOTS_PER_IN, Say, class_names, drawable, figure_file
from vidcls.errors import VidclsError
from vidcls.evaluate.run_data import data_of
from vidcls.leaks.contact_sheet import NUM_FRAMES, read_strips
from vidcls.process.cores import usable_cores
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import targets_in
from vidcls.study.mistakes import Answer, Case, CaseList, Mistakes, ReadSplit
from vidcls.user_code.trust import kept_code

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 200
"""Maximum number of videos on a sheet; a JPEG has at most 65,500 pixels per side."""
_FRAME = (112, 150)
_STRIP_PX = NUM_FRAMES * _FRAME[1]
_GAP_PX = 14
_LINE_PX = 24
_WIDTH_PX = 1300
_TITLE_PX = 20
_HEADING_PX = 48
_LONGEST = 78
_INK, _GREY, _RIGHT, _WRONG = "#22272e", "#5c6570", "#1a7f37", "#c2372e"
_NO_FRAMES = (236, 239, 242)


@dataclass(frozen=True)
class SheetResult:
    """What a sheet shows.

    Attributes:
        num_rows: Number of videos on the sheet; one that is in several lists counts for each.
        num_left_out: Number of videos that are left out because a sheet has at most `MAX_ROWS`.
        without_frames: Reason why the frames of a video are not shown, by id.
        data_problem: Reason why no frames are shown, if the data is missing or has changed.
    """

    num_rows: int
    num_left_out: int
    without_frames: Mapping[str, str]
    data_problem: VidclsError | None


def write_sheet(
    mistakes: Mistakes, runs: Sequence[Run], path: Path, *, say: Say, progress: StageProgress
) -> SheetResult:
    """Draw the videos of all lists. If the data is not there any more, the sheet has the text alone.

    Args:
        mistakes: Lists of videos.
        runs: The runs, whose data has the videos.
        path: File of the picture, a PNG or JPEG by its suffix.
        say: Receives a message about letters that no font has.
        progress: Called in the stages `probe` and `draw`.

    Raises:
        OSError: If the file cannot be written.
    """
    lists = list(_first_rows(mistakes.lists))
    ids = dict.fromkeys(case.video for cases, kept in lists for case in kept)
    found, videos, problem = _find_videos(runs, list(ids), mistakes.split)
    strips: dict[str, Pixels] = {}
    without: dict[str, str] = {}
    if found is not None:
        strips, without = _read(*found, videos, progress)
    for name in ids:
        if name not in strips:
            without.setdefault(name, "the videos are not there any more" if problem else "it has no frames")
    num_rows = sum(len(kept) for _, kept in lists)
    _draw(mistakes, lists, path, strips=strips, without=without, problem=problem, say=say)
    left_out = sum(len(cases.cases) for cases in mistakes.lists) - num_rows
    return SheetResult(num_rows, left_out, without, problem)


def _first_rows(lists: Sequence[CaseList]) -> Iterator[tuple[CaseList, tuple[Case, ...]]]:
    room = MAX_ROWS
    for cases in lists:
        kept = cases.cases[:room]
        room -= len(kept)
        yield cases, kept


def _find_videos(
    runs: Sequence[Run], ids: Sequence[str], split: ReadSplit
) -> tuple[tuple[Run, Spec] | None, list[Video], VidclsError | None]:
    """First run whose data is there, its spec, and the videos; runs may have read other files of them."""
    problem: VidclsError | None = None
    for run in runs:
        try:
            spec, manifest = data_of(run, split)
        except VidclsError as error:
            problem = problem or error
            continue
        of_id = {video.id: video for video in manifest.videos}
        listed = [of_id[name] for name in ids if name in of_id]
        found = [video for video in listed if video.has_frames or video.item is not None]
        if found or run == runs[-1]:
            return (run, spec), found, None
    return None, [], problem


def _read(
    run: Run, spec: Spec, videos: Sequence[Video], progress: StageProgress
) -> tuple[dict[str, Pixels], dict[str, str]]:
    """Strip of each video by id, or the reason why it cannot be read."""
    if spec.data.target is not None:
        from vidcls.study.clip_strips import read_clip_strips  # loads torch, as the user's code does

        with kept_code(run.code_dir, targets_in(spec.data)):
            return read_clip_strips(videos, spec, size=_FRAME, progress=progress)
    decoders = Decoders(workers=usable_cores(), timeout_s=spec.data.timeout_s)
    each_once = list({video.digest: video for video in videos}.values())
    try:
        outcomes = read_strips(
            each_once, size=_FRAME, store_dir=Path(spec.store_dir), decoders=decoders, progress=progress
        )
    finally:
        decoders.close()
    strips: dict[str, Pixels] = {}
    without: dict[str, str] = {}
    for video in videos:
        outcome = outcomes[video.digest]
        if isinstance(outcome, Failure):
            without[video.id] = outcome.reason
        else:
            strips[video.id] = outcome
    return strips, without


def _draw(
    mistakes: Mistakes,
    lists: Sequence[tuple[CaseList, tuple[Case, ...]]],
    path: Path,
    *,
    strips: Mapping[str, Pixels],
    without: Mapping[str, str],
    problem: VidclsError | None,
    say: Say,
) -> None:
    title = _title(mistakes, problem)
    heights = [_HEADING_PX + len(kept) * (_FRAME[0] + _GAP_PX) for _, kept in lists]
    height = _TITLE_PX + _LINE_PX * len(title) + sum(heights)
    canvas = np.full((height, _WIDTH_PX, 3), 255, dtype=np.uint8)
    names = dict(zip(mistakes.classes, class_names(mistakes.classes), strict=True))
    size_in = (_WIDTH_PX / DOTS_PER_IN, height / DOTS_PER_IN)
    texts = [*mistakes.classes, *title, *(case.video for _, kept in lists for case in kept)]
    with figure_file(path, size_in=size_in, texts=texts, say=say) as figure:
        figure.set_layout_engine("none")  # everything is placed by pixels
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        for number, line in enumerate(title):
            _write(axes, _GAP_PX, 10 + number * _LINE_PX, line, longest=160)
        top = height - sum(heights)
        for cases, kept in lists:
            _write(axes, _GAP_PX, top + 14, cases.heading, size=11, weight="bold", longest=130)
            top += _HEADING_PX
            for case in kept:
                _draw_case(axes, canvas, case, cases, top=top, names=names, strips=strips, without=without)
                top += _FRAME[0] + _GAP_PX
        axes.imshow(canvas, extent=(0, _WIDTH_PX, height, 0), aspect="auto", interpolation="none")


def _title(mistakes: Mistakes, problem: VidclsError | None) -> list[str]:
    lines = [
        f"{result.run}: {result.num_correct} of {mistakes.num_videos} {mistakes.split} videos right, "
        f"checkpoint {mistakes.checkpoint}, leak state of the data: {result.leak_state}"
        for result in mistakes.results
    ]
    if problem is not None:
        lines.append(f"no frames are shown: {problem.message}")
    return lines


def _draw_case(
    axes: Axes,
    canvas: Pixels,
    case: Case,
    cases: CaseList,
    *,
    top: int,
    names: Mapping[str, str],
    strips: Mapping[str, Pixels],
    without: Mapping[str, str],
) -> None:
    place = canvas[top : top + _FRAME[0], _GAP_PX : _GAP_PX + _STRIP_PX]
    place[:] = strips.get(case.video, _NO_FRAMES)
    if case.video in without:
        _write(axes, 2 * _GAP_PX, top + 46, f"no frames: {without[case.video]}", color=_GREY, longest=75)
    lines = [(f"true: {names[case.true]}", _INK), *_answer_lines(case, cases, names), (case.video, _GREY)]
    for number, (text, color) in enumerate(lines):
        _write(axes, 2 * _GAP_PX + _STRIP_PX, top + 4 + number * _LINE_PX, text, color=color)


def _answer_lines(case: Case, cases: CaseList, names: Mapping[str, str]) -> list[tuple[str, str]]:
    if len(case.answers) == 1:
        answer = case.answers[0]
        return [
            (f"predicted: {names[answer.predicted]} {answer.probability:.1%}", _color(answer)),
            (f"second: {names[answer.second]} {answer.second_probability:.1%}", _INK),
        ]
    if len(case.answers) == 2:
        both = zip(cases.runs, case.answers, strict=True)
        return [(_answer_line(drawable(run, longest=30), a, names), _color(a)) for run, a in both]
    return [(f"predicted by the runs: {case.counted(names)}", _WRONG)]


def _answer_line(run: str, answer: Answer, names: Mapping[str, str]) -> str:
    """Answer of a run, with its second class if there is room."""
    line = f"{run}: {names[answer.predicted]} {answer.probability:.1%}"
    longer = f"{line}, {names[answer.second]} {answer.second_probability:.1%}"
    return longer if len(longer) <= _LONGEST else line


def _color(answer: Answer) -> str:
    return _RIGHT if answer.is_correct else _WRONG


def _write(
    axes: Axes,
    left: int,
    top: int,
    text: str,
    *,
    size: int = 9,
    color: str = _INK,
    weight: str = "normal",
    longest: int = _LONGEST,
) -> None:
    shown = drawable(text, longest=longest)
    axes.text(left, top, shown, fontsize=size, color=color, fontweight=weight, va="top", ha="left")
