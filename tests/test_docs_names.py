"""Whatever the pages name is there: commands with their options, keys, targets of make, files and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from docs.make_figures import FIGURES
from docs.make_reference import write_reference
from vidcls.cli import app
from vidcls.errors import UserError
from vidcls.spec.reference.settings import find_setting

ROOT = Path(__file__).parents[1]
GENERATED = ("reference", "figures")
PAGES = sorted(
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if page.parent.name not in GENERATED
)
OPEN_ENDED = ("model.args.", "data.args.")
FILES = (".json", ".txt")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """Text without blocks of code, and without the line about a command that is still to come."""
    text = re.sub(r"<!-- TODO-REPORT.*?-->\n.*\n", "", page.read_text())
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def in_code(page: Path) -> Iterator[str]:
    """Inline code, each in one line."""
    for code in re.findall(r"`([^`]+)`", prose(page)):
        yield " ".join(code.split())


def commands(page: Path) -> Iterator[str]:
    for block in re.findall(
        r"^```(?:sh|console|text)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        yield from re.findall(r"^(?:\$ )?(vidcls .*)", block, re.MULTILINE)
    yield from (code for code in in_code(page) if code.startswith("vidcls "))


def mistake_in(text: str) -> str | None:
    """What of a command does not exist."""
    command = typer.main.get_command(app)
    _, *words = shlex.split(re.split(r" (?:[|;]|&&) | #", text)[0])
    while words and (inner := getattr(command, "commands", {})):
        if words[0].startswith("-"):
            break
        if words[0] not in inner:
            return f"no command {words[0]}"
        command, words = inner[words[0]], words[1:]
    known = {"-h", "--help", *(name for param in command.params for name in param.opts)}
    options = (word.strip("[]").partition("=")[0] for word in words)
    return next(
        (f"no {name}" for name in options if name.startswith("-") and name.strip("-") and name not in known),
        None,
    )


@each_page
def test_every_command_and_option_exists(page: Path) -> None:
    assert not {text: mistake for text in commands(page) if (mistake := mistake_in(text))}


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert mistake_in("vidcls sweep lanch x.yaml") == "no command lanch"
    assert mistake_in("vidcls train x.yaml --fast") == "no --fast"
    assert mistake_in("vidcls sweep launch FILE [--cluster PROFILE] | tail") is None


@each_page
def test_every_key_of_a_spec_exists(page: Path) -> None:
    key = r"(?:^|[\s\[{])((?:data|clip|augment|model|optim|train|tracking)\.[a-z]\w*(?:\.\w+)*)(?=[=:\s]|$)"
    unknown = []
    for name in (
        name for code in in_code(page) for name in re.findall(key, code) if not name.endswith(FILES)
    ):
        try:
            found = name.startswith(OPEN_ENDED) or find_setting(name)
        except UserError:
            found = False
        if not found:
            unknown.append(name)
    assert not unknown


@each_page
def test_every_target_of_make_exists(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {name for code in in_code(page) for name in re.findall(r"^make ([a-z-]+)", code)}
    assert named <= set(targets)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated pages, and names of the generated figures."""
    folder = tmp_path_factory.mktemp("docs")
    write_reference(folder / "reference")
    (folder / "figures").mkdir()
    for name in FIGURES:
        (folder / "figures" / f"{name}.svg").touch()
    return folder


@each_page
def test_every_link_leads_somewhere(page: Path, generated: Path) -> None:
    text = prose(page)
    figures = re.findall(r"^```\{(?:figure|include)\} (\S+)", page.read_text(), re.MULTILINE)
    for target in (*figures, *re.findall(r"\]\(\s*(?!https?:)([^)]+)\)", text)):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if (ROOT / "docs").resolve() in path.parents and path.parent.name in GENERATED:
            path = generated / path.parent.name / path.name
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


def anchors(page: Path) -> set[str]:
    """Names of the headings as links spell them, with those of included pages."""
    text = page.read_text()
    for name in re.findall(r"^```\{include\} (\S+)", text, re.MULTILINE):
        text += (page.parent / name).read_text()
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
