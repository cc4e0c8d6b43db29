from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.storage import MAX_LAG_S, Grant, NetworkStorage, Server
from vidcls.sweep.storage.control import Control, ControlKind, ControlState
from vidcls.sweep.storage.storage import DiskStorage


def test_the_last_word_counts(tmp_path: Path) -> None:
    control, other = Control(DiskStorage(tmp_path)), Control(DiskStorage(tmp_path))
    assert control.current() == ControlState()
    words: list[tuple[ControlKind, str]] = [
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
        ("resume", "running"),
    ]
    for kind, state in words:
        control.say(kind)
        assert other.current().state == state


def test_extensions_add_up(tmp_path: Path) -> None:
    control = Control(DiskStorage(tmp_path))
    control.say("extend", trials=50)
    control.say("pause")
    control.say("extend", trials=10, gpu_hours=1.5, hours=2.0)
    assert Control(DiskStorage(tmp_path)).current() == ControlState("paused", 60, 1.5, 2.0)


def test_amounts_belong_to_extensions(tmp_path: Path) -> None:
    control = Control(DiskStorage(tmp_path))
    with pytest.raises(ValueError, match="extend"):
        control.say("extend")
    with pytest.raises(ValueError, match="pause"):
        control.say("pause", trials=3)
    assert control.current() == ControlState()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, MAX_LAG_S]), st.integers(0, 40)), max_size=20)
)
def test_no_word_is_lost_or_doubled_on_a_late_disk(said: list[tuple[int, float, int]]) -> None:
    server, lag_s = Server(), 0.0
    people = [Control(NetworkStorage(server, lambda: Grant(lag_s=lag_s))) for _ in range(3)]
    for who, late_s, wait_s in said:
        lag_s = late_s
        people[who].say("extend", trials=1)
        server.now_s += wait_s
    assert Control(NetworkStorage(server)).current().extra_trials == len(said)
    assert server.names("control") == [f"{number + 1:04d}.json" for number in range(len(said))]
