"""What `make bench` records, and the comparison of two records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import record
from benchmarks.__main__ import main
from benchmarks.common import Result


def result(name: str, measured: str, target: str) -> Result:
    return Result(name, measured, target, True, "as it was made")


def test_each_claim_is_a_line_with_machine_and_versions(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    record.append([result("sweep", "1,234.5 s (2 runs)", "at most 2,000 s")], file)
    record.append([result("doubles", "0 duplicates", "each once")], file)
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["name"], first["value"], first["better"]) == ("sweep", 1234.5, "lower")
    assert (second["value"], second["better"]) == (0.0, None)
    assert first["versions"]["torch"]
    assert first["cores"] >= 1
    assert first["held"] is True
    assert first["commit"]


def test_what_got_worse_comes_first_and_is_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    record.append([result("ratio", "9", "at most 1"), result("ratio", "1.0", "at most 1")], old)
    record.append([result("rate", "20 times", "at least 10"), result("gone", "1 s", "at most 1 s")], old)
    record.append([result("ratio", "1.05", "at most 1"), result("rate", "10 times", "at least 10")], new)
    rows, num_worse = record.compare(old, new)
    assert [row[0] for row in rows] == ["rate", "ratio", "gone"]
    assert rows[0][1:] == ("20 times", "10 times", "worse (0.50 times)")
    assert rows[1][1:] == ("1.0", "1.05", "the same (1.05 times)")
    assert rows[2][1:] == ("1 s", "", "in one file only")
    assert num_worse == 1
    for files, code in (((old, new), 1), ((new, new), 0)):
        monkeypatch.setattr("sys.argv", ["benchmarks", "--compare", *map(str, files)])
        assert main() == code
    assert "0 of 2 claims got worse" in capsys.readouterr().out


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("no JSON")
    with pytest.raises(SystemExit, match="other: not a file of results"):
        record.compare(tmp_path / "other", tmp_path / "other")
