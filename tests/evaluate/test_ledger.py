"""The ledger of the sealed test split."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vidcls.errors import VidclsError
from vidcls.evaluate.ledger import Ledger


def test_openings_are_kept_in_order_by_manifest(tmp_path: Path) -> None:
    ledger = Ledger.of("abc", store_dir=tmp_path)
    assert ledger.count == 0
    assert ledger.entries() == ()
    first = ledger.append(run="runs/a", checkpoint="best")
    second = ledger.append(run="runs/b", checkpoint="last")
    assert Ledger.of("abc", store_dir=tmp_path).entries() == (first, second)
    assert "@" in first.who
    assert first.when.endswith("+00:00")
    assert Ledger.of("other", store_dir=tmp_path).count == 0


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from vidcls.evaluate.ledger import Ledger\n"
        "for i in range(25): Ledger(Path(sys.argv[1])).append(run=sys.argv[2], checkpoint=str(i))"
    )
    path = tmp_path / "ledger.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), f"run{k}" * 50]) for k in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert Ledger(path).count == len(Ledger(path).entries()) == 100


def test_a_torn_line_counts_as_an_opening_and_spoils_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.path.write_bytes(b'{"when": "20')
    opening = ledger.append(run="runs/a", checkpoint="best")
    assert ledger.count == 2
    assert ledger.entries() == (opening,)


def test_configurations_are_told_apart_by_what_was_trained(tmp_path: Path) -> None:
    """Neither seeds nor checkpoints nor the way to name a folder make a configuration; a torn line may be one."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    assert ledger.num_configurations == 0
    runs = ["runs/a/0123456789ab-s0", "/home/me/runs/a/0123456789ab-s12", "runs/b/ba9876543210-s0"]
    ledger.append_all([*runs, "runs/fused/00112233aabb", "mine/fused", "other/fused"], checkpoint="best")
    ledger.append(run=runs[0], checkpoint="last", repeated=True)
    assert (ledger.count, ledger.num_configurations, ledger.num_repeats) == (7, 5, 1)
    with ledger.path.open("ab") as file:
        file.write(b'\n{"when": "20\n{}\n')
    assert (ledger.count, ledger.num_configurations) == (9, 7)


def test_what_cannot_be_noted_stays_sealed(tmp_path: Path) -> None:
    (tmp_path / "ledgers").write_text("a file is in the way")
    with pytest.raises(VidclsError, match="the test split is not evaluated"):
        Ledger.of("abc", store_dir=tmp_path).append(run="runs/a", checkpoint="best")
