"""Where the best model looks on the hardest videos: Grad-CAM of a run whose weights are there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidcls.data.decoding.workers import StageProgress
from vidcls.drawing import Say, drawable, figure_file
from vidcls.errors import VidclsError
from vidcls.study.report.document import Block, Picture, Section, Text
from vidcls.study.report.material import Material
from vidcls.study.report.sections.videos import hardest

if TYPE_CHECKING:
    from vidcls.evaluate.grad_cam import Explained

_NUM_VIDEOS = 6
_WIDTH_IN = 9.0
_TITLE_IN = 0.3


def attention(material: Material, *, say: Say, progress: StageProgress) -> Section:
    """Maps of the best configuration for the videos that are most often wrong.

    Args:
        material: Material of the report.
        say: Receives a message about letters that no font has.
        progress: Called in the stages of reading, and `explain`.
    """
    blocks: list[Block] = []
    try:
        picture, said = _picture(material, say=say, progress=progress)
    except VidclsError as error:
        picture, said = None, f"No maps: {error.message}"
    blocks += [picture] if picture is not None else []
    return Section("attention", "Where the best model looks", (*blocks, Text((said,))))


def _picture(material: Material, *, say: Say, progress: StageProgress) -> tuple[Picture | None, str]:
    pool, request = material.pools[0], material.request
    if request.split == "test":
        return None, "No maps: test videos go through a model in `vidcls evaluate` only."
    best = pool.configurations[0]
    run = next((run for run in best.runs if run.checkpoint_file(request.checkpoint).is_file()), None)
    if run is None:
        return None, f"No maps: the weights of {best.label} were not kept."
    rows = hardest(pool)[:_NUM_VIDEOS] or list(range(min(_NUM_VIDEOS, len(pool.evidence.ids))))
    from vidcls.evaluate.grad_cam import explain  # loads torch

    found = explain(run, request.checkpoint, [pool.evidence.ids[row] for row in rows], progress=progress)
    if not found:
        return None, "No maps: the videos are not there any more."
    picture = Picture(
        "attention",
        f"Grad-CAM of {best.label} (run {run.folder.name}) for the predicted class: frames of the clip, and"
        " below them the same frames, bright where a place speaks for that class.",
        "Frames with maps over them. "
        + " ".join(f"{each.video}: true {each.true}, predicted {each.predicted}." for each in found),
        _drawn(found, say=say),
    )
    return picture, (
        "A map shows which places raise the score of the predicted class in the last step of the network that"
        " has places. It is a hint and no proof of what a model uses (Adebayo et al. 2018, arXiv:1810.03292)."
    )


def _drawn(found: Sequence[Explained], *, say: Say) -> bytes:
    """Rows of frames above their maps, as a JPEG."""
    heights = [2 * _WIDTH_IN * each.frames.shape[0] / each.frames.shape[1] for each in found]
    titles = [
        f"{each.video}: true {each.true}, predicted {each.predicted} ({each.probability:.0%})"
        for each in found
    ]
    height = sum(heights) + _TITLE_IN * len(found)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "maps.jpg"
        with figure_file(path, size_in=(_WIDTH_IN, height), texts=titles, say=say) as figure:
            figure.set_layout_engine("none")
            top = height
            for each, title, tall in zip(found, titles, heights, strict=True):
                top -= _TITLE_IN
                figure.text(0.005, (top + 0.08) / height, drawable(title, longest=130), fontsize=9)
                for number, pixels in enumerate((each.frames, each.maps), start=1):
                    bottom = top - number * tall / 2
                    axes = figure.add_axes((0.0, bottom / height, 1.0, tall / 2 / height))
                    axes.set_axis_off()
                    axes.imshow(pixels, aspect="auto", interpolation="nearest")
                top -= tall
        return path.read_bytes()
