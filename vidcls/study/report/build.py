"""Builds a report from runs: reads their stored results, makes the sections, and writes all files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidcls.data.decoding.workers import StageProgress
from vidcls.drawing import Say
from vidcls.errors import UserError
from vidcls.files import write_bytes, write_json, write_text
from vidcls.run.folder import Run
from vidcls.study.report.document import Document, Section, Text
from vidcls.study.report.material import Material, Pool, ReportRequest, gather
from vidcls.study.report.sections.attention import attention
from vidcls.study.report.sections.calibration import calibration
from vidcls.study.report.sections.classes import classes
from vidcls.study.report.sections.cost import cost
from vidcls.study.report.sections.record import checklist, record
from vidcls.study.report.sections.results import results, verdict
from vidcls.study.report.sections.search import search
from vidcls.study.report.sections.training import curves
from vidcls.study.report.sections.videos import videos
from vidcls.study.report.writers.charts import write_chart
from vidcls.study.report.writers.latex import latex
from vidcls.study.report.writers.markdown import markdown
from vidcls.study.report.writers.page import page

PAGE, MARKDOWN, LATEX, CONTENT = "index.html", "report.md", "report.tex", "report.json"
"""Files of a report; `report.json` is written last and marks the folder as one of a report."""
FIGURES = "figures"
_OF_FIRST_POOL = ("classes", "calibration", "cost", "search", "videos", "attention")
"""Sections that show the pool with the most runs."""


@dataclass(frozen=True)
class WrittenReport:
    """Report on disk.

    Attributes:
        document: Its content.
        page: File of the page.
        runs: Runs that it shows.
        left_out: Number of runs that are left out.
        num_unscored: Number of videos that no run has scored.
    """

    document: Document
    page: Path
    runs: tuple[Run, ...]
    left_out: int
    num_unscored: int

    @property
    def num_runs(self) -> int:
        """Number of runs that it shows."""
        return len(self.runs)

    @property
    def pictures(self) -> dict[Path, str]:
        """Captions of its figures and contact sheets, by file."""
        folder = self.page.parent / FIGURES
        charts = {folder / f"{each.stem}.png": each.caption for each in self.document.charts}
        return charts | {folder / f"{each.stem}.jpg": each.caption for each in self.document.pictures}

    @property
    def verdicts(self) -> list[str]:
        """Main statements of the report."""
        return [
            text
            for section in self.document.sections
            for block in section.blocks
            if isinstance(block, Text) and block.is_verdict
            for text in block.paragraphs
        ]


def refuse_other_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than an earlier report.

    Raises:
        UserError: If it is a file, or holds files and no report.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out: {folder} is a file", hint="name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONTENT).is_file():
        raise UserError(
            f"--out: {folder} holds files, and no report",
            hint="name a new folder, or that of an earlier report",
        )


def write_report(
    runs: Sequence[Run], folder: Path, request: ReportRequest, *, say: Say, progress: StageProgress
) -> WrittenReport:
    """Write the report of runs: a page, Markdown, LaTeX, and each figure as PDF, SVG and PNG.

    Args:
        runs: Runs in any state; those that cannot be shown are named in the report with the reason.
        folder: Folder of the report; files of an earlier report in it are replaced.
        request: What the report shows.
        say: Receives messages about what cannot be shown.
        progress: Called in the stages `read`, `probe`, `draw` and `write`.

    Raises:
        UserError: If no run can be shown, or the folder holds something else or cannot be written.
        VidclsError: If a look at test cannot be recorded.
    """
    refuse_other_folder(folder)
    progress("read", 0, len(runs))
    material = gather(runs, request)
    progress("read", len(runs), len(runs))
    document = _document(material, say=say, progress=progress)
    try:
        _write(document, folder, say=say, progress=progress)
    except OSError as error:
        raise UserError(f"--out: cannot write {folder}: {error.strerror or error}") from error
    unscored = {video for pool in material.pools for video in pool.evidence.unscored}
    return WrittenReport(
        document,
        folder / PAGE,
        runs=material.runs,
        left_out=len(material.left_out),
        num_unscored=len(unscored),
    )


def _write(document: Document, folder: Path, *, say: Say, progress: StageProgress) -> None:
    figures = folder / FIGURES
    _remove_earlier(folder)
    figures.mkdir(parents=True, exist_ok=True)
    charts = list(document.charts)
    drawn = {}
    for done, chart in enumerate(charts, start=1):
        drawn[chart.stem] = write_chart(chart, figures, say=say)
        progress("write", done, len(charts))
    for picture in document.pictures:
        write_bytes(figures / f"{picture.stem}.jpg", picture.jpeg)
    write_text(folder / PAGE, page(document, drawn))
    write_text(folder / MARKDOWN, markdown(document, figures=FIGURES))
    write_text(folder / LATEX, latex(document, figures=FIGURES))
    write_json(folder / CONTENT, document.as_dict())


def _ground(pool: Pool) -> str:
    runs = "1 run" if len(pool.runs) == 1 else f"{len(pool.runs)} runs"
    return f"{pool.data}: {runs}, {len(pool.evidence.ids)} videos of {pool.answers.num_classes} classes"


def _named(material: Material, section: Section) -> Section:
    """Section that says which runs it shows, if it does not show all of them."""
    if len(material.pools) == 1 or section.name not in _OF_FIRST_POOL:
        return section
    pool = material.pools[0]
    said = Text((f"Of the {len(pool.runs)} runs on {pool.data} alone.",))
    return replace(section, blocks=(said, *section.blocks))


def _remove_earlier(folder: Path) -> None:
    """Remove the figures of an earlier report in a folder, which may have others."""
    try:
        earlier = json.loads((folder / CONTENT).read_bytes())
        blocks = [block for section in earlier["sections"] for block in section["blocks"]]
        stems = [block["file"] for block in blocks if block["kind"] in ("figure", "picture")]
    except (OSError, ValueError, KeyError, TypeError):
        return  # there is none, or somebody has changed it
    for path in (folder / FIGURES).glob("*"):
        if path.stem in stems:
            path.unlink()


def _document(material: Material, *, say: Say, progress: StageProgress) -> Document:
    makers: list[Callable[[], Section | None]] = [
        lambda: verdict(material),
        lambda: results(material),
        lambda: curves(material),
        lambda: classes(material),
        lambda: calibration(material),
        lambda: cost(material),
        lambda: search(material),
        lambda: videos(material, say=say, progress=progress),
        lambda: attention(material, say=say, progress=progress),
        lambda: record(material),
        lambda: checklist(material),
    ]
    sections = tuple(_named(material, section) for make in makers if (section := make()) is not None)
    pool, request = material.pools[0], material.request
    num = sum(len(each.configurations) for each in material.pools)
    named = pool.configurations[0].label if num == 1 else f"{num} configurations"
    return Document(
        title=f"Report: {named}",
        subtitle=f"{request.split} split, checkpoint {request.checkpoint}; "
        + "; ".join(map(_ground, material.pools)),
        sections=sections,
    )
