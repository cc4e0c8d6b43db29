"""Progress as a queue's log shows it."""

from __future__ import annotations

import pytest

from vidcls.cli import display
from vidcls.cli.display import PlainDisplay


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
