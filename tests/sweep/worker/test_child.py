"""What a trial's process reports to its worker."""

from __future__ import annotations

from multiprocessing import Pipe
from pathlib import Path
from threading import Thread

import pytest

from vidcls.sweep.worker.child import _TrialDisplay
from vidcls.sweep.worker.messages import TrialRequest


def request(*, decides_each_epoch: bool) -> TrialRequest:
    return TrialRequest(
        spec_file=Path("base.yaml"),
        overrides=(),
        known_epochs=0,
        device=None,
        threads=1,
        log_file=Path("log"),
        decides_each_epoch=decides_each_epoch,
        gpu_share=1.0,
        patience_s=60.0,
    )


@pytest.mark.parametrize("decides", [True, False])
def test_epochs_that_nobody_decides_on_are_reported_once_a_second(
    monkeypatch: pytest.MonkeyPatch, decides: bool
) -> None:
    """By a clock on which an epoch takes 0.3 seconds."""
    now = [100.0]
    monkeypatch.setattr("vidcls.sweep.worker.child.time.monotonic", lambda: now[0])
    worker, child = Pipe()
    reported: list[int] = []

    def answer() -> None:
        while True:
            try:
                message = worker.recv()
            except EOFError:
                return
            reported.append(message.number)
            assert message.history == [{"epoch": message.number}]
            worker.send("enough" if message.number == 12 else None)

    answers = Thread(target=answer)
    answers.start()
    display = _TrialDisplay(child, request(decides_each_epoch=decides))
    verdicts = []
    for epoch in range(1, 13):
        now[0] += 0.3

        def history(epoch: int = epoch) -> list[dict[str, int]]:
            return [{"epoch": epoch}]

        verdicts.append(display(epoch, history))  # type: ignore[arg-type]
    child.close()
    answers.join()
    assert reported == (list(range(1, 13)) if decides else [4, 8, 12])
    assert verdicts == [None] * 11 + ["enough"]
