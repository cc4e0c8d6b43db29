"""The metrics file: nothing is lost, nothing comes twice, any JSON reader copes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.errors import VidclsError
from vidcls.tracking.jsonl import MetricsFile, read_rows

_VALUES = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=8))
_ROWS = st.lists(st.dictionaries(st.text(max_size=8), _VALUES, max_size=4), max_size=8)


@given(rows=_ROWS)
def test_rows_come_back_with_non_finite_numbers_as_null(
    rows: list[dict[str, float | str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("metrics") / "metrics.jsonl"
    file = MetricsFile(path)
    for row in rows:
        file.append(row)
    file.sync()
    assert file.position == path.stat().st_size
    file.close()
    expected = [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in rows
    ]
    assert read_rows(path) == expected
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


@given(rows=_ROWS, data=st.data())
def test_a_killed_and_resumed_file_equals_an_undisturbed_one(
    rows: list[dict[str, float | str | None]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    whole = MetricsFile(folder / "whole.jsonl")
    for row in rows:
        whole.append(row)
    whole.close()

    saved = data.draw(st.integers(0, len(rows)))
    killed = data.draw(st.integers(saved, len(rows)))
    first = MetricsFile(folder / "killed.jsonl")
    for row in rows[:saved]:
        first.append(row)
    position = first.position
    for row in rows[saved:killed]:
        first.append(row)
    first.close()
    # The kill came in the middle of a row.
    with (folder / "killed.jsonl").open("ab") as torn:
        torn.write(b'{"epoch": 1')

    resumed = MetricsFile(folder / "killed.jsonl")
    resumed.truncate_to(position)
    for row in rows[saved:]:
        resumed.append(row)
    resumed.close()
    assert (folder / "killed.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_reading_leaves_out_a_torn_last_line_and_names_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"epoch": 1}\n{"epoch": 2')
    assert read_rows(path) == [{"epoch": 1}]
    path.write_bytes(b'{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(VidclsError, match=r"metrics\.jsonl:2"):
        read_rows(path)


def test_a_file_shorter_than_its_checkpoint_says_is_refused(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.append({"epoch": 1})
    with pytest.raises(VidclsError, match="cut or replaced"):
        file.truncate_to(file.position + 1)
    file.close()


def test_a_cut_in_the_middle_of_a_row_is_refused(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.append({"epoch": 1})
    file.append({"epoch": 2})
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(VidclsError, match="in the middle of a row; the file was cut or replaced"):
        file.truncate_to(5)
    file.close()
    assert (tmp_path / "metrics.jsonl").read_bytes() == whole


def test_who_still_has_the_file_open_adds_nothing_to_that_of_the_next(tmp_path: Path) -> None:
    old = MetricsFile(tmp_path / "metrics.jsonl")
    old.append({"epoch": 1})
    new = MetricsFile(tmp_path / "metrics.jsonl")
    old.append({"epoch": 2, "by": "old"})
    new.append({"epoch": 2, "by": "new"})
    assert read_rows(tmp_path / "metrics.jsonl") == [{"epoch": 1}, {"epoch": 2, "by": "new"}]
    old.close()
    new.close()


@pytest.mark.parametrize("value", ["1" + "0" * 400, "1" * 5000, "[1]", "{}", "[" * 10_000])
def test_what_is_no_value_is_no_row(tmp_path: Path, value: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"val/top1": {value}}}\n')
    with pytest.raises(VidclsError, match=r"metrics\.jsonl:1: not a row"):
        read_rows(tmp_path / "metrics.jsonl")


def test_a_full_disk_is_said_and_leaves_whole_rows(tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk: a part of the row is written, the rest refused.
    program = """
import resource, signal, sys
from pathlib import Path
from vidcls.errors import VidclsError
from vidcls.tracking.jsonl import MetricsFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
file = MetricsFile(Path(sys.argv[1]))
try:
    for epoch in range(100):
        file.append({"epoch": epoch, "val/loss": 0.5})
except VidclsError as error:
    print(error.message)
"""
    path = tmp_path / "metrics.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "full" in done.stdout
    assert [row["epoch"] for row in read_rows(path)] == [0, 1, 2]
    assert path.read_bytes().endswith(b"\n")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VidclsError, match="cannot be written"):
        MetricsFile(tmp_path / "file" / "metrics.jsonl")
