"""Class names that are too much alike."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.data.layouts.reading import put, read, said, write


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Lunges", "lunges"),
        ("air drumming", "air  drumming"),
        ("air drumming", "air_drumming"),
        (unicodedata.normalize("NFC", "Säge"), unicodedata.normalize("NFD", "Säge")),
        ("Straße", "STRASSE"),
        ("run", "run\u200b"),
        ("\uff52un", "run"),
    ],
)
def test_names_that_differ_in_what_is_hardly_seen(one: str, other: str, tmp_path: Path) -> None:
    put(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    manifest = read(write(tmp_path / "t.csv", f"path,label\n1.mp4,{one}\n2.mp4,{other}\n3.mp4,walk\n"))
    (warning,) = said(manifest, "alike_labels")
    assert "t.csv:2" in warning
    assert "t.csv:3" in warning
    assert "differ only in case, blanks or Unicode form" in warning
    assert len(manifest.classes) == 3
    assert not any(problem.fatal for problem in manifest.problems if problem.kind == "alike_labels")
    assert not any(problem.note for problem in manifest.problems if problem.kind == "alike_labels")


def test_folders_too(tmp_path: Path) -> None:
    (warning,) = said(read(put(tmp_path, "Run/1.mp4", "run/2.mp4", "walk/3.mp4")), "alike_labels")
    assert "'Run' (Run/1.mp4) and 'run' (run/2.mp4)" in warning
