"""Foreign text: shown as it is, on one line, and never run."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.text import from_spreadsheet_cell, printable, printable_lines, spreadsheet_cell

ANY = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Long jump (éà) 中文 عربي", "Long jump (éà) 中文 عربي"),
        ("[/x] [red]", "[/x] [red]"),
        ("a\x1b[31mred\x9b1m", r"a\x1b[31mred\x9b1m"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("a\u202egnp.mp4", r"a\u202egnp.mp4"),
        ("zero\u200bwidth\ufeff\u2028", r"zero\u200bwidth\ufeff\u2028"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        (os.fsdecode(b"caf\xe9.mp4"), r"caf\xe9.mp4"),
    ],
)
def test_text_is_shown_with_escapes_for_what_would_steer_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANY)
def test_any_text_becomes_one_line_that_utf8_can_write(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown


def test_a_message_keeps_its_lines() -> None:
    assert printable_lines("two\nlines\x1b[2J") == "two\nlines\\x1b[2J"


@given(ANY)
def test_no_cell_is_a_formula_and_every_cell_gives_its_text_back(text: str) -> None:
    cell = spreadsheet_cell(text)
    assert from_spreadsheet_cell(cell) == text
    if cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        float(cell)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "'=1", "\t=1"])
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1.5", "+3", "a=b", "'quoted'", ""])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert spreadsheet_cell(text) == text
