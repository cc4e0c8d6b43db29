"""Creates and writes all figures, with fonts that have the needed letters, and without failing a run."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vidcls.errors import reason_of
from vidcls.files import atomic_file
from vidcls.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontEntry

Say = Callable[[str], None]

DOTS_PER_IN = 120
"""Resolution of figures."""
_UNDATED: Mapping[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_FONT = "DejaVu Sans"
"""Font that comes with matplotlib."""
_PLACEHOLDERS = "Last Resort"
"""Font of matplotlib that has a placeholder box for every letter."""
_LONGEST = 40
_said: set[str] = set()


@contextmanager
def optional(what: object, say: Say) -> Iterator[None]:
    """Run optional work, such as a figure or a table: an error is reported but not raised."""
    try:
        yield
    except Exception as error:
        say(f"{what}: not written: {reason_of(error)}; all results are stored")


@contextmanager
def drawn(path: Path, *, size_in: tuple[float, float], texts: Iterable[str], say: Say) -> Iterator[Figure]:
    """Same as `figure_file`, but an error is reported and not raised."""
    with optional(path, say), figure_file(path, size_in=size_in, texts=texts, say=say) as figure:
        yield figure


@contextmanager
def figure_file(
    path: Path, *, size_in: tuple[float, float], texts: Iterable[str], say: Say
) -> Iterator[Figure]:
    """Yield a figure and write it to one file at the end, see `figure_files`."""
    with figure_files([path], size_in=size_in, texts=texts, say=say) as figure:
        yield figure


@contextmanager
def figure_files(
    paths: Sequence[Path],
    *,
    size_in: tuple[float, float],
    texts: Iterable[str],
    say: Say,
    style: Mapping[str, Any] = MappingProxyType({}),
    dots_per_in: int = DOTS_PER_IN,
) -> Iterator[Figure]:
    """Yield a figure and write it to files at the end; the same figure gives the same bytes.

    Args:
        paths: Files of the figure, each a PNG, JPEG, SVG or PDF by its suffix.
        size_in: Width and height in inches.
        texts: User texts in the figure, such as class names, for which fonts are selected.
        say: Receives a message, once per process, about letters that no font has.
        style: Settings of matplotlib by name.
        dots_per_in: Resolution of pictures of pixels.

    Raises:
        OSError: If a file cannot be written.
    """
    # Uses the object interface, since pyplot has global state and may select a window system.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    fonts, missing = fonts_for("".join(map(printable, texts)))
    _say_missing(missing, say)
    # The user's own settings may enable LaTeX, and `$` in a name is not a formula.
    settings = {**_own_settings(), **style, "font.family": list(fonts), "text.parse_math": False}
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # missing letters are reported
    with mpl.rc_context(settings):
        figure = Figure(figsize=size_in, dpi=dots_per_in, layout="constrained")
        yield figure
        for path in paths:
            kind = path.suffix.lower().removeprefix(".")
            with atomic_file(path) as file:
                figure.savefig(file, format=kind, metadata=_UNDATED.get(kind))


def drawable(text: str, *, longest: int = _LONGEST) -> str:
    """Text for a figure: on one line, of limited length, with letters that no font has as escapes."""
    line = printable(text)
    _, missing = fonts_for(line)
    line = "".join(c.encode("unicode_escape").decode() if c in missing else c for c in line)
    return line if len(line) <= longest else f"{line[: longest * 2 // 3]}…{line[-(longest // 3 - 1) :]}"


def class_names(classes: Sequence[str]) -> list[str]:
    """Class names for a figure, all different.

    A class is shown by its number, `label 12`, if no font has its letters; names that became equal by
    shortening are shown with their numbers.
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
    """Fonts of this machine that together have all letters of a text, and the letters that no font has."""
    wanted = {c for c in text if not c.isspace() and unicodedata.category(c) != "Cf"}
    wanted -= _ascii()
    if not wanted:
        return (_FONT,), frozenset()
    from matplotlib.font_manager import fontManager

    fonts = [_FONT]
    # For each family take the regular file: bold and oblique ones have fewer letters.
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
    """Sort key that prefers the upright regular file of a family."""
    upright, regular = entry.style == "normal", entry.weight in (400, "normal", "regular")
    return not upright, not regular, entry.stretch != "normal", entry.fname


def _letters(file: str, wanted: set[str]) -> set[str]:
    """Wanted letters that a font file has."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(file)
    except (OSError, RuntimeError):  # removed since the list was made, or of an unsupported kind
        return set()
    return {letter for letter in wanted if font.get_char_index(ord(letter))}


def _ascii() -> set[str]:
    return set(map(chr, range(128)))


def _own_settings() -> dict[Any, Any]:
    """Default settings of matplotlib, without those for windows."""
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
        f"figures: no font on this machine has the letters {letters} ({kind}), so classes with these "
        "letters are shown by their label (see `vidcls data scan`). To show them, put a font such as Noto "
        "Sans with this script into ~/.fonts, then remove ~/.cache/matplotlib"
    )
