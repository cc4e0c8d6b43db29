"""Displays of training progress: a live bar in a terminal, plain lines elsewhere (queue logs, pipes)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from vidcls.cli.common import say
from vidcls.cli.output.screen import Screen

if TYPE_CHECKING:
    from vidcls.training.loop import Loop, MetricValues

PLAIN_EVERY_S = 30.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Eta:
    """Estimates the remaining time from the steps since this process started."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def __call__(self, loop: Loop) -> str:
        now = time.monotonic()
        if self._first is None:
            self._first = (loop.global_step, now)
        first_step, started = self._first
        taken = loop.global_step - first_step
        if taken < 1:
            return "?"
        left = loop.steps_per_epoch * loop.spec.train.num_epochs - loop.global_step
        return _clock(left * (now - started) / taken)


def _step_text(loop: Loop, eta: str) -> str:
    speed = loop.speed
    waiting = speed.waiting_s / speed.total_s if speed.total_s else 0.0
    # The loss of a step is read one step later, so at first there is none.
    loss = "" if loop.recent_loss is None else f"loss {loop.recent_loss:.3f}  "
    return f"{loss}{speed.clips_per_s:.0f} clips/s  data {waiting:.0%}  left {eta}"


def _epoch_text(loop: Loop, row: MetricValues, *, is_best: bool) -> str:
    width = len(str(loop.spec.train.num_epochs))
    return (
        f"epoch {loop.position.epoch:>{width}}/{loop.spec.train.num_epochs}"
        f"  loss {row['train/loss']:.3f}  top-1 {row['train/top1']:.1%}"
        f"{_val_text(row, is_best=is_best)}"
        f"  {row['clips_per_s']:.0f} clips/s{_overflow_text(row)}"
    )


def _val_text(row: MetricValues, *, is_best: bool) -> str:
    if "val/top1" not in row:
        return "  unvalidated"
    return f"  val loss {row['val/loss']:.3f}  val top-1 {row['val/top1']:.1%}{' *' if is_best else '  '}"


def _overflow_text(row: MetricValues) -> str:
    num = int(row.get("overflow_steps", 0))
    return f"  {num} {'step' if num == 1 else 'steps'} left out (fp16 overflow)" if num else ""


@dataclass
class _Stage:
    """Start of a stage; a stage that continues earlier work may start with finished items."""

    name: str = ""
    first: int = 0
    began: float = 0.0

    def left(self, done: int, total: int, *, now: float) -> str:
        """Remaining time as text; empty if unknown."""
        taken = done - self.first
        if taken < 1 or done >= total:
            return ""
        return f"  left {_clock((total - done) * (now - self.began) / taken)}"


class PlainDisplay:
    """Prints a line for each epoch, and one every half minute in between."""

    def __init__(self) -> None:
        self._shown = time.monotonic()
        self._eta = _Eta()
        self._stage = _Stage()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def say(self, text: str) -> None:
        """Print one line on stderr."""
        say(text)

    def stage(self, name: str, done: int, total: int) -> None:
        """Print a line at the end of a stage and every half minute; at once if the stage only waits."""
        now = time.monotonic()
        is_new = name != self._stage.name
        if is_new:
            self._stage = _Stage(name, done, now)
        if not total and is_new:
            self.say(f"{name} ...")
        elif total and (done == total or now - self._shown > PLAIN_EVERY_S):
            self._shown = now
            self.say(f"{name}: {done}/{total}{self._stage.left(done, total, now=now)}")

    def step(self, loop: Loop) -> None:
        """Print a line every half minute."""
        eta = self._eta(loop)
        now = time.monotonic()
        if now - self._shown > PLAIN_EVERY_S:
            self._shown = now
            where = f"epoch {loop.position.epoch + 1}  step {loop.position.step}/{loop.steps_per_epoch}"
            self.say(f"{where}  {_step_text(loop, eta)}")

    def epoch(self, loop: Loop, row: MetricValues, *, is_best: bool) -> None:
        """Print a line."""
        self._shown = time.monotonic()
        self.say(f"{_epoch_text(loop, row, is_best=is_best)}  left {self._eta(loop)}")


class LiveDisplay:
    """Shows a bar for the current stage or epoch, with finished epochs above it."""

    def __init__(self, console: Screen) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._name = ""
        self._eta = _Eta()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        self._console.print(text)

    def stage(self, name: str, done: int, total: int) -> None:
        """Update the bar of a stage."""
        self._show(name, done, total, "")

    def step(self, loop: Loop) -> None:
        """Update the bar of the epoch."""
        name = f"epoch {loop.position.epoch + 1}/{loop.spec.train.num_epochs}"
        self._show(name, loop.position.step, loop.steps_per_epoch, _step_text(loop, self._eta(loop)))

    def epoch(self, loop: Loop, row: MetricValues, *, is_best: bool) -> None:
        """Print a line above the bar."""
        self.say(_epoch_text(loop, row, is_best=is_best))

    def _show(self, name: str, done: int, total: int, text: str) -> None:
        if name != self._name and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        if self._task is None:
            self._name = name
            self._task = self._progress.add_task(name, total=total, text=text)
        self._progress.update(self._task, completed=done, total=total, text=text)


AnyDisplay = PlainDisplay | LiveDisplay


def open_display() -> AnyDisplay:
    """Display that fits the output: a live bar in a terminal, plain lines elsewhere."""
    console = Screen(stderr=True)
    return LiveDisplay(console) if console.is_live else PlainDisplay()
