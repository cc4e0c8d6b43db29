"""Progress as a queue's log shows it."""

from __future__ import annotations

import pytest

from tests.support.training import Experiment, QuietDisplay, train_here
from vidcls.cli.output import display
from vidcls.cli.output.display import PlainDisplay, open_display
from vidcls.cli.output.progress import stages


def test_plain_lines_tell_what_is_waited_for_and_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0, 40.0, 41.0, 80.0])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    shown = PlainDisplay()
    for _ in range(2):
        shown.stage("wait for another process", 0, 0)
    shown.stage("features", 32, 100)
    shown.stage("features", 69, 100)
    shown.stage("features", 70, 100)
    shown.stage("features", 100, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["wait for another process ...", "features: 69/100  left 0:31", "features: 100/100"]


def test_no_loss_is_shown_before_there_is_one(
    experiment: Experiment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "PLAIN_EVERY_S", -1.0)

    class Shown(QuietDisplay):
        def __init__(self) -> None:
            super().__init__()
            self.step = PlainDisplay().step  # type: ignore[method-assign]

    train_here(experiment.spec(train__epochs=1), Shown())
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("epoch 1  step 1/5  ")
    assert "loss" not in first
    assert "  loss " in second
    assert "nan" not in first + second


def test_a_bar_moves_on_a_terminal_only(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FORCE_COLOR, as continuous integration sets it, makes no terminal of a pipe."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with stages() as progress:
        progress("decode", 1, 2)
    assert isinstance(open_display(), PlainDisplay)
    assert capfd.readouterr().err == ""
