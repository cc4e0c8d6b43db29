"""Figures, opened and written in one place: in fonts that have the letters, and without failing a run."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcls.errors import reason_of
from vidcls.files import atomic_file
from vidcls.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontEntry

Say = Callable[[str], None]

_FONT = "DejaVu Sans"
"""Comes with matplotlib."""
_PLACEHOLDERS = "Last Resort"
"""A font that comes with matplotlib too and has a box for every letter."""
_LONGEST = 40
_said: set[str] = set()


@contextmanager
def optional(what: object, say: Say) -> Iterator[None]:
    """Try what a result can do without, a figure or a table: an error is said, and ends nothing else."""
    try:
        yield
    except Exception as error:
        say(f"{what}: not written: {reason_of(error)}; all results are kept")


@contextmanager
def drawn(path: Path, *, size_in: tuple[float, float], texts: Iterable[str], say: Say) -> Iterator[Figure]:
    """A figure to draw into; it is written to a PNG at the end. What goes wrong is said, and raises nothing.

    Args:
        path: Where the picture goes.
        size_in: Width and height in inches.
        texts: Foreign texts in the figure, such as names of classes, for which fonts are looked up.
        say: Told, once a process, which letters no font has.
    """
    with optional(path, say):
        # The object interface: pyplot keeps state of its own, and may pick a window system.
        import matplotlib as mpl
        from matplotlib.figure import Figure

        fonts, missing = fonts_for("".join(map(printable, texts)))
        _say_missing(missing, say)
        # Settings of the user's own may call for LaTeX; `$` in a name is no formula.
        settings = {**_own_settings(), "font.family": list(fonts), "text.parse_math": False}
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # what is missing was said
        with mpl.rc_context(settings):
            figure = Figure(figsize=size_in, dpi=120, layout="constrained")
            yield figure
            with atomic_file(path) as file:
                figure.savefig(file, format="png")


def drawable(text: str, *, longest: int = _LONGEST) -> str:
    """Text as a figure can show it: on one line, not too long, letters that no font has as escapes."""
    line = printable(text)
    _, missing = fonts_for(line)
    line = "".join(c.encode("unicode_escape").decode() if c in missing else c for c in line)
    return line if len(line) <= longest else f"{line[: longest * 2 // 3]}…{line[-(longest // 3 - 1) :]}"


def class_names(classes: Sequence[str]) -> list[str]:
    """Names of classes as a figure shows them, no two alike.

    A class is shown by its number, `label 12`, where no font has its letters; two names that differ only in
    what had to be left out are shown with their numbers.
    """
    _, missing = fonts_for("".join(map(printable, classes)))
    shown = [
        f"label {label}" if missing.intersection(name) else drawable(name)
        for label, name in enumerate(classes)
    ]
    alike = {name for name in shown if shown.count(name) > 1} if len(set(shown)) < len(shown) else set()
    return [f"{label}: {name}" if name in alike else name for label, name in enumerate(shown)]


@cache
def fonts_for(text: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Fonts of this machine that together have all letters of a text, and the letters that none has."""
    wanted = {c for c in text if not c.isspace() and unicodedata.category(c) != "Cf"}
    wanted -= _ascii()
    if not wanted:
        return (_FONT,), frozenset()
    from matplotlib.font_manager import fontManager

    fonts = [_FONT]
    # Of each family the file that plain text is drawn with: bold and oblique ones have fewer letters.
    plainest = sorted(fontManager.ttflist, key=_plainness, reverse=True)
    files = {entry.name: entry.fname for entry in plainest}
    names = sorted(files, key=lambda name: (name != _FONT, not name.startswith("Noto Sans"), name))
    for name in names:
        if not wanted:
            break
        if not name.startswith(_PLACEHOLDERS) and (found := _letters(files[name], wanted)):
            wanted -= found
            fonts.append(name)
    return tuple(dict.fromkeys(fonts)), frozenset(wanted)


def _plainness(entry: FontEntry) -> tuple[bool, bool, bool, str]:
    """A key that sorts the upright regular file of a family before all others."""
    upright, regular = entry.style == "normal", entry.weight in (400, "normal", "regular")
    return not upright, not regular, entry.stretch != "normal", entry.fname


def _letters(file: str, wanted: set[str]) -> set[str]:
    """Which letters a font file has."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(file)
    except (OSError, RuntimeError):  # gone since the list was made, or of a kind that cannot be drawn
        return set()
    return {letter for letter in wanted if font.get_char_index(ord(letter))}


def _ascii() -> set[str]:
    return set(map(chr, range(128)))


def _own_settings() -> dict[Any, Any]:
    """Matplotlib's settings as they come with it, those that concern windows aside."""
    import matplotlib as mpl

    return {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")}


def _say_missing(missing: frozenset[str], say: Say) -> None:
    new = sorted(missing - _said)
    if not new:
        return
    _said.update(new)
    letters = " ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
    kind = unicodedata.name(new[0], "").partition(" ")[0]
    say(
        f"figures: no font on this machine has the letters {letters} ({kind}): a class whose name has them is"
        " shown by its label, as `vidcls data scan` numbers them. A font such as Noto Sans, with that script,"
        " in ~/.fonts shows them; then remove ~/.cache/matplotlib"
    )
