"""Videos that are most often wrong, as a contact sheet and with the answer of each configuration."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidcls.data.decoding.workers import StageProgress
from vidcls.drawing import Say
from vidcls.evaluate.metrics import softmax, top_classes
from vidcls.study.compare.tables import Grid
from vidcls.study.mistakes import Answer, Case, CaseList, Mistakes
from vidcls.study.mistakes_sheet import write_sheet
from vidcls.study.report.document import Block, Picture, Section, Text
from vidcls.study.report.material import Material, Pool

_NUM_VIDEOS = 12
_MAX_COLUMNS = 6
_TITLE = "videos that are most often wrong"


def videos(material: Material, *, say: Say, progress: StageProgress) -> Section:
    """The hardest videos of the pool with the most runs; without its data, as a table alone.

    Args:
        material: Material of the report.
        say: Receives a message about letters that no font has.
        progress: Called in the stages `probe` and `draw`.
    """
    pool = material.pools[0]
    wrong = 1.0 - pool.answers.correct.mean(axis=0)
    rows = hardest(pool)[:_NUM_VIDEOS]
    if not rows:
        said = Text((f"All {len(wrong)} videos are right in all {len(pool.runs)} runs.",))
        return Section("videos", "Videos most often wrong", (said,))
    blocks: list[Block] = []
    picture, why = _sheet(pool, material, rows, say=say, progress=progress)
    blocks += [picture] if picture is not None else []
    blocks += [Text((why,))] if why else []
    return Section("videos", "Videos most often wrong", (*blocks, _grid(pool, rows, wrong.tolist())))


def hardest(pool: Pool) -> list[int]:
    """Rows of the videos that some run gets wrong, those that most runs get wrong first."""
    wrong = 1.0 - pool.answers.correct.mean(axis=0)
    order = np.lexsort((-pool.answers.confidences.mean(axis=0), -wrong))
    return [int(row) for row in order if wrong[row] > 0]


def _grid(pool: Pool, rows: Sequence[int], wrong: Sequence[float]) -> Grid:
    names, labels = pool.evidence.classes, pool.answers.labels
    shown = pool.configurations[:_MAX_COLUMNS]
    cells = tuple(
        (
            pool.evidence.ids[row],
            names[int(labels[row])],
            f"{wrong[row] * len(pool.runs):.0f} of {len(pool.runs)}",
            *(_said(pool, row, members, names) for members in pool.members[: len(shown)]),
        )
        for row in rows
    )
    more = (
        f", with the answers of the first {len(shown)} of {len(pool.configurations)} configurations"
        if len(pool.configurations) > len(shown)
        else ""
    )
    columns = ("video", "true", ">wrong in runs", *(each.label for each in shown))
    return Grid(f"{_TITLE}{more}", columns, cells)


def _said(pool: Pool, row: int, members: slice, names: Sequence[str]) -> str:
    """Predicted classes of the seeds of a configuration, the most frequent first."""
    count = Counter(names[int(label)] for label in pool.answers.predicted[members, row]).most_common()
    if len(count) == 1:
        return count[0][0]
    return ", ".join(f"{name} ({num})" for name, num in count)


def _sheet(
    pool: Pool, material: Material, rows: Sequence[int], *, say: Say, progress: StageProgress
) -> tuple[Picture | None, str]:
    """Contact sheet of videos, and why something is missing on it."""
    cases = tuple(_case(pool, row) for row in rows)
    runs = tuple(str(run.folder) for run in pool.runs)
    request = material.request
    mistakes = Mistakes(
        split=request.split,
        checkpoint=request.checkpoint,
        classes=pool.evidence.classes,
        num_videos=len(pool.evidence.ids),
        results=(),
        lists=(CaseList("most often wrong", _TITLE, runs, len(cases), cases),),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "videos.jpg"
        result = write_sheet(mistakes, pool.runs, path, say=say, progress=progress)
        content = path.read_bytes()
    if result.data_problem is not None:
        return None, f"Their frames are not shown: {result.data_problem.message}"
    missing = ", ".join(f"{name} ({why})" for name, why in result.without_frames.items())
    picture = Picture(
        "videos",
        f"The {len(cases)} {_TITLE}, over all {len(pool.runs)} runs: a few frames of each, its true class,"
        " and what the runs said with the number of runs.",
        "Contact sheet. "
        + " ".join(f"{case.video}: true {case.true}, said {case.counted()}." for case in cases[:5]),
        content,
    )
    return picture, f"Without frames: {missing}." if missing else ""


def _case(pool: Pool, row: int) -> Case:
    logits = pool.evidence.logits[:, row]
    first_two = top_classes(logits, k=2)
    probabilities = np.take_along_axis(softmax(logits), first_two, axis=1)
    names, true = pool.evidence.classes, int(pool.answers.labels[row])
    answers = (
        Answer(names[first], float(p), names[second], float(q), bool(first == true))
        for (first, second), (p, q) in zip(first_two.tolist(), probabilities.tolist(), strict=True)
    )
    return Case(pool.evidence.ids[row], names[true], tuple(answers))
