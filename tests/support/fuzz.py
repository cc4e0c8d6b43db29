"""Wrong files by the thousand, each a pure function of its number, and a limit of time for what reads them."""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LIMIT_S = 10.0  # of the processor, so that a busy machine changes nothing
_MAX_LINE = 700
_SETTING = re.compile(r"(?<=[:\-\[,{=] )[^\s,\[\]{}]+|(?<==)[^\s,\[\]{}\"]+")
_KEY = re.compile(r"[\w.]+(?=:)")

_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12)
)
NASTY = (
    "9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000, "0o" + "7" * 5000, "9" * 400, "18446744073709551616", "1e400",
    "1e-400", "." + "9" * 5000, ".nan", "-.inf", "-1", "0", "-0.0", "1_000", "1:30", "0b_", "0x_", "1e5", "2001-99-99",
    "null", "None", "~", "true", "yes", "''", '""', "[]", "{}", "[null]", "[[]]", "{a: {}}", "'0.5'", "[1, 2, 3, 4]",
    "~nosuchuser", "~nosuchuser/a.pt", "/dev/zero", "/dev/null", "/proc/self/mem", "pipe.yaml", "loop.yaml", ".", "..", "/",
    '"\\0"', '"a\\0b.pt"', '"\\ud800"', '"\\UFFFFFFFF"', '"\\e[31m"', '"a\\nb"', "[/x]", "\x1b[31m", "\x00", "\ufeff", "\u2028",
    "ünï/видео/動画", "🎬", "\u202eabc", "$HOME", "$x$", "=1+1", "a" * 5000, '"' + "a b " * 3000 + '"', "x" + "/x" * 3000,
    "a" + ".a" * 3000, "members.²", "model.members.²", "²", "٣", "*a", "&a [*a]", "&a x", "<<: *a", "!!int 3", "!x y",
    "!!python/object/apply:os.getcwd []", "[" * 40 + "]" * 40, "[" * 3000, "{a: " * 40 + "1" + "}" * 40, "{? [a] : b}",
    "? ", "- - -", "|", ">-", "%", "@", "`", "'", '"', "#", " #x", "\t", "\r", ": ", "---", "...", "%YAML 1.1\n---",
    "%YAML " + "9" * 5000 + ".1\n---", "\n" + _LAUGHS, "optim.lr: 3", "kind: cnn3d", "[{kind: cnn3d}, {kind: two_stream}]",
    "{kind: two_stream, rgb: {kind: cnn3d}, motion: {}}", "{min: 1, max: 2}", "{values: [1, 1]}", "{distribution: beta}",
    "{distribution: q_normal, q: 1e-300}", "{min: -1e308, max: 1e308}", "{distribution: log_uniform, min: -1e9, max: 700}",
    "{parameters: {a: {parameters: {b: {value: 1}}}}}", "{min: 1, max: " + "9" * 90 + "}", "${envvar:NO}", "${args}", "--data=",
)  # fmt: skip


class TooSlowError(BaseException):
    """Took longer than the limit; no handler of errors may swallow it."""


@contextmanager
def limited(seconds: float = LIMIT_S) -> Iterator[None]:
    """Raise `TooSlowError` after so many seconds of this process on a processor."""

    def stop(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def special_files(folder: Path) -> None:
    """Make what a path of a wrong file may name: a pipe without a writer, and a link to itself."""
    os.mkfifo(folder / "pipe.yaml")
    (folder / "loop.yaml").symlink_to("loop.yaml")


def wrong_text(bases: tuple[str, ...], rng: random.Random) -> bytes:
    """A text that is one of the bases but for a few changes."""
    text = rng.choice(bases)
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(_CHANGES)(text, rng)
    content = text.encode("utf-8", errors="surrogatepass")
    if rng.random() < 0.1:
        at = rng.randrange(len(content) + 1)
        content = content[:at] + rng.randbytes(rng.randint(1, 4)) + content[at:]
    return content


def clear(message: str) -> bool:
    """Whether a message has lines that a terminal shows and a person reads."""
    return all(0 < len(line) <= _MAX_LINE and line.isprintable() for line in message.split("\n"))


def _replace(pattern: re.Pattern[str]) -> Callable[[str, random.Random], str]:
    def change(text: str, rng: random.Random) -> str:
        found = list(pattern.finditer(text))
        if not found:
            return text
        match = rng.choice(found)
        return text[: match.start()] + rng.choice(NASTY) + text[match.end() :]

    return change


def _insert(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(NASTY) + text[at:]


def _cut(text: str, rng: random.Random) -> str:
    start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    return text[:start] + text[end:] if rng.random() < 0.5 else text[:end]


def _lines(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    for _ in range(rng.randint(1, 3)):
        if not lines:
            break
        at = rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                lines.insert(rng.randrange(len(lines)), lines[at])
            case 1:
                del lines[at]
            case 2:
                lines[at] = f"  {lines[at]}"
            case 3:
                lines[at] = lines[at].lstrip()
    return "\n".join(lines)


_CHANGES = (_replace(_SETTING), _replace(_SETTING), _replace(_SETTING), _replace(_KEY), _insert, _cut, _lines)
