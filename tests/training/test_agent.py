"""Under `wandb agent` its early stop is no failure; `tests/sweep/test_wandb_engine.py` has the real one."""

from __future__ import annotations

import signal

import pytest

from tests.support.training import Experiment, QuietDisplay, train_here
from vidcls.errors import VidclsError


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_bare_term_or_the_clients_own_int_is_an_early_stop_and_exits_0(
    number: signal.Signals, experiment: Experiment
) -> None:
    with pytest.raises(VidclsError) as caught:
        train_here(experiment.spec(), QuietDisplay(signal_at=(7, number)))
    assert caught.value.exit_code == 0
    assert experiment.run().checkpoint_file("last").is_file()


@pytest.mark.usefixtures("agent")
def test_a_queues_warning_still_asks_for_a_requeue(experiment: Experiment) -> None:
    with pytest.raises(VidclsError) as caught:
        train_here(experiment.spec(), QuietDisplay(signal_at=(7, signal.SIGUSR1)))
    assert caught.value.exit_code == 75
