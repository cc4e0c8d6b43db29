"""Help and words that a newcomer understands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from vidcls.cli import app
from vidcls.cli.common import times


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*words, name))


COMMANDS = tuple(_commands(typer.main.get_command(app)))


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_in_plain_words(words: tuple[str, ...]) -> None:
    text = said(*words, "-h")
    assert text == said(*words, "--help")
    assert "<bool>" not in text
    assert not re.search(
        r"\b(one|seeds?|frames?|trials?|classes|views) a (run|trial|seed|video|frame|point)\b", text
    )


@pytest.mark.parametrize(
    "word", ["leak state", "sealed", "rung", "lease", "residency", "cross-fitted", "Rungs"]
)
def test_the_glossary_has_the_words_of_the_messages(word: str) -> None:
    assert word.lower().removesuffix("s") in said("glossary", word)


def test_the_glossary_names_what_it_lacks() -> None:
    result = CliRunner().invoke(app, ["glossary", "xyzzy"])
    assert result.exit_code == 2
    assert "vidcls glossary" in result.stderr


def test_a_count_of_one_is_once() -> None:
    assert [times(count) for count in (1, 2)] == ["once", "2 times"]
