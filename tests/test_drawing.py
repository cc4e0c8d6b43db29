"""Figures of any names: formulas are text, missing letters are said once, and nothing raises."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from vidcls.drawing import class_names, drawable, drawn, fonts_for

# Letters of scripts that no font of matplotlib has; no two tests use the same, for each is said once a process.
LINEAR_A, CUNEIFORM = "\U00010600\U00010601", "\U00012000\U00012001"


def _write(path: Path, name: str, said: list[str]) -> None:
    with drawn(path, size_in=(2, 1), texts=[name], say=said.append) as figure:
        figure.suptitle(drawable(name))


def test_a_name_that_looks_like_a_formula_is_text(tmp_path: Path) -> None:
    said: list[str] = []
    for number, name in enumerate(("$a$b$", r"$\frac{$ $", r"\undefined", "a_b^c", "%", "{}", "\n")):
        _write(tmp_path / f"{number}.png", name, said)
        with Image.open(tmp_path / f"{number}.png") as picture:
            picture.load()
    assert said == []


def test_two_formulas_are_drawn_as_differently_as_their_text(tmp_path: Path) -> None:
    """Mathematics would drop the spaces, and draw both alike."""
    for name in ("$a b$", "$ab$"):
        _write(tmp_path / f"{name}.png", name, [])
    first, second = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert first != second


def test_a_script_without_a_font_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    for number in range(2):
        _write(tmp_path / f"{number}.png", LINEAR_A, said)
    assert len(said) == 1
    assert "LINEAR" in said[0]
    assert "font" in said[0]


def test_classes_without_a_font_have_their_labels_and_no_two_names_are_alike() -> None:
    long = "the same beginning of a very long name, {} and the same end of the very long name"
    names = class_names(["run", CUNEIFORM, long.format("one"), long.format("two"), "b\nline"])
    assert names[:2] == ["run", "label 1"]
    assert names[4] == r"b\nline"
    assert len(set(names)) == 5
    assert max(map(len, names)) < 50


def test_a_font_with_the_script_is_used() -> None:
    """Arabic is in the font that comes with matplotlib."""
    fonts, missing = fonts_for("عربي Ω é")
    assert fonts == ("DejaVu Sans",)
    assert not missing


def test_a_figure_that_cannot_be_drawn_or_written_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    with drawn(tmp_path / "broken.png", size_in=(1, 1), texts=[], say=said.append):
        raise ZeroDivisionError("in the drawing")
    (tmp_path / "folder.png").mkdir()
    _write(tmp_path / "folder.png", "x", said)
    assert [line.split(":")[0] for line in said] == [
        str(tmp_path / "broken.png"),
        str(tmp_path / "folder.png"),
    ]
    assert not (tmp_path / "broken.png").exists()


def test_settings_of_the_user_do_not_reach_a_figure(tmp_path: Path) -> None:
    import matplotlib as mpl

    said: list[str] = []
    with mpl.rc_context({"text.usetex": True, "font.family": ["no such font"]}):
        _write(tmp_path / "x.png", "a_b", said)
    assert said == []
