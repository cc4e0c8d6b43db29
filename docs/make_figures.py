"""Draws the figures of the explanation as SVG: boxes on a grid, and arrows between them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
CELL_W, CELL_H = 176, 84
"""Size of a cell of the grid in px."""
GAP_W, GAP_H = 24, 30
"""What of a cell is left free for arrows, in px."""
LINE_H, CHAR_W = 16, 6.4
"""Height of a line and mean width of a character in px."""
_STYLE = (
    "text{font:12px system-ui,sans-serif;text-anchor:middle;fill:#1f2933}"
    "text.head{font-weight:600}text.label{font-size:11px;fill:#52606d}"
    "rect.box{fill:#fff;stroke:#7b8794}rect.page{fill:#f5f7fa}"
    "path{stroke:#52606d;fill:none;marker-end:url(#tip)}"
)
_TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" style="fill:#52606d;stroke:none"/></marker>'
)


@dataclass(frozen=True)
class Box:
    """Box with a heading and further lines; column, row, width and height are in cells of the grid."""

    column: float
    row: float
    head: str
    lines: tuple[str, ...] = ()
    width: float = 1.0
    height: float = 1.0

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in px."""
        left, top = self.column * CELL_W + GAP_W / 2, self.row * CELL_H + GAP_H / 2
        return left, top, left + self.width * CELL_W - GAP_W, top + self.height * CELL_H - GAP_H

    @property
    def centre(self) -> tuple[float, float]:
        """Centre in px."""
        left, top, right, bottom = self.edges
        return (left + right) / 2, (top + bottom) / 2

    def toward(self, other: tuple[float, float]) -> tuple[float, float]:
        """Point of the edge on the way from the centre to a point."""
        (x, y), (left, top, right, bottom) = self.centre, self.edges
        dx, dy = other[0] - x, other[1] - y
        steps = [half / abs(d) for half, d in (((right - left) / 2, dx), ((bottom - top) / 2, dy)) if d]
        step = min(steps)
        return x + step * dx, y + step * dy


@dataclass(frozen=True)
class Arrow:
    """Arrow from one box to another, by their names, with a label beside its middle."""

    start: str
    end: str
    label: str = ""
    bend: float = 0.0
    """How far the middle lies to the left of the straight way, in px, so that two arrows stay apart."""


@dataclass(frozen=True)
class Figure:
    """Boxes by name, and the arrows between them; `title` is read out by screen readers."""

    title: str
    boxes: Mapping[str, Box]
    arrows: tuple[Arrow, ...] = ()

    def svg(self) -> str:
        """The figure as the text of an SVG file."""
        width = max(box.edges[2] for box in self.boxes.values()) + GAP_W / 2
        height = max(box.edges[3] for box in self.boxes.values()) + GAP_H / 2
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}">',
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style><defs>{_TIP}</defs>",
            f'<rect class="page" width="{width:g}" height="{height:g}" rx="6"/>',
            *(self._arrow(arrow) for arrow in self.arrows),
            *map(_box, self.boxes.values()),
            "</svg>\n",
        ]
        return "\n".join(parts)

    def _arrow(self, arrow: Arrow) -> str:
        start, end = self.boxes[arrow.start], self.boxes[arrow.end]
        (ax, ay), (bx, by) = start.centre, end.centre
        length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
        middle = (
            (ax + bx) / 2 + arrow.bend * (by - ay) / length,
            (ay + by) / 2 - arrow.bend * (bx - ax) / length,
        )
        (ax, ay), (bx, by) = start.toward(middle), end.toward(middle)
        drawn = f'<path d="M{ax:.1f} {ay:.1f} Q{middle[0]:.1f} {middle[1]:.1f} {bx:.1f} {by:.1f}"/>'
        x, y = (ax + 2 * middle[0] + bx) / 4, (ay + 2 * middle[1] + by) / 4
        return drawn + (_text(x, y - 5, arrow.label, "label") if arrow.label else "")


def _box(box: Box) -> str:
    left, top, right, bottom = box.edges
    x, y = box.centre
    first = y + 4 - LINE_H * len(box.lines) / 2
    size = f'width="{right - left:g}" height="{bottom - top:g}"'
    rect = f'<rect class="box" x="{left:g}" y="{top:g}" {size} rx="5"/>'
    lines = [_text(x, first + LINE_H * (i + 1), line) for i, line in enumerate(box.lines)]
    return "".join((rect, _text(x, first, box.head, "head"), *lines))


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _chain(names: Iterable[str], *labels: str) -> tuple[Arrow, ...]:
    ordered = list(names)
    texts = [*labels, *[""] * len(ordered)]
    return tuple(Arrow(a, b, text) for a, b, text in zip(ordered, ordered[1:], texts, strict=False))


def rooms() -> Figure:
    """Folders of the package, by the layers that the linter of imports enforces."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [[name.strip() for name in layer.split("|")] for layer in contracts[0]["layers"]]
    boxes = {}
    for row, names in enumerate(layers):
        for column, name in enumerate(names):
            width = 5 / len(names)
            boxes[name] = Box(
                column * width, row * 0.68, name.removeprefix("vidcls."), width=width, height=0.68
            )
    return Figure("Rooms of the package: each imports only what is below it", boxes)


def data_flow() -> Figure:
    """From a spec to metrics."""
    boxes = {
        "spec": Box(0, 0, "spec", ("one YAML file",)),
        "manifest": Box(1, 0, "manifest", ("videos, classes, groups",)),
        "decode": Box(2, 0, "decode once", ("in order, every frame",)),
        "store": Box(3, 0, "store", ("shared by all runs",)),
        "batch": Box(3, 1, "batches", ("by seed, epoch, step",)),
        "transforms": Box(2, 1, "transforms", ("one draw for a clip",)),
        "model": Box(1, 1, "model", ("clip to logits",)),
        "logits": Box(0, 1, "logits", ("by id of the video",)),
        "metrics": Box(0, 2, "metrics", ("and every verdict",)),
    }
    return Figure("From a spec to metrics", boxes, _chain(boxes))


def life_of_a_run() -> Figure:
    """States of a run, and what leads from one to another."""
    boxes = {
        "new": Box(0, 0, "new", ("no epoch yet",)),
        "running": Box(1.5, 0, "running", ("lock, checkpoints",)),
        "finished": Box(3, 0, "finished", ("scored, drawn",)),
        "interrupted": Box(0, 1.6, "interrupted", ("saved; a signal",)),
        "killed": Box(1, 1.6, "killed", ("the lock is dead",)),
        "stopped": Box(2, 1.6, "stopped", ("by a stop rule",)),
        "failed": Box(3, 1.6, "failed", ("the error is kept",)),
    }
    away = tuple(Arrow("running", name, bend=9) for name in list(boxes)[3:])
    back = tuple(Arrow(name, "running", bend=9) for name in list(boxes)[3:])
    onward = (Arrow("new", "running", "vidcls train"), Arrow("running", "finished", "last epoch"))
    return Figure("The same command leads from every state to finished", boxes, (*onward, *away, *back))


def sweep_without_a_server() -> Figure:
    """Workers that share a folder and nothing else."""
    boxes = {
        "launch": Box(0, 0, "sweep launch", ("copies code and specs",)),
        "array": Box(1.5, 0, "queue", ("an array of workers",)),
        "status": Box(3, 0, "status, best", ("any login node",)),
        "folder": Box(0.5, 1, "folder of the sweep", ("trials, leases, results, logs",), width=3),
        "first": Box(0, 2, "worker 1", ("trains trial 7",)),
        "second": Box(1.5, 2, "worker 2", ("died; its lease ends",)),
        "third": Box(3, 2, "worker 3", ("resumes trial 8",)),
    }
    arrows = (
        Arrow("launch", "array", "submits"),
        Arrow("launch", "folder"),
        Arrow("status", "folder"),
        Arrow("first", "folder"),
        Arrow("second", "folder"),
        Arrow("third", "folder"),
    )
    return Figure("A sweep without a server: the folder is the state", boxes, arrows)


def verdicts() -> Figure:
    """From stored logits to words."""
    boxes = {
        "runs": Box(0, 1, "runs", ("configuration x seed",)),
        "logits": Box(1, 1, "stored logits", ("of the same videos",)),
        "difference": Box(2, 0, "difference", ("of the mean scores",)),
        "seeds": Box(2, 1, "spread of seeds", ("repeats of a spec",)),
        "groups": Box(2, 2, "spread of groups", ("other videos",)),
        "interval": Box(3, 1, "interval", ("corrected (Holm)",)),
        "words": Box(4, 1, "verdict", ("better, tie, or", "too little evidence")),
    }
    parts = ("difference", "seeds", "groups")
    arrows = (
        Arrow("runs", "logits"),
        *(Arrow("logits", part) for part in parts),
        *(Arrow(part, "interval") for part in parts),
        Arrow("interval", "words"),
    )
    return Figure("A verdict counts seeds and groups of videos as samples", boxes, arrows)


FIGURES = {
    "rooms": rooms,
    "data_flow": data_flow,
    "life_of_a_run": life_of_a_run,
    "sweep": sweep_without_a_server,
    "verdicts": verdicts,
}


def write_figures(target: Path) -> None:
    """Write all figures into a folder."""
    target.mkdir(exist_ok=True)
    for name, make in FIGURES.items():
        (target / f"{name}.svg").write_text(make().svg())
