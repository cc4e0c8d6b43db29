"""The `command` of a sweep file: the experiment to train and its settings besides the parameters.

The W&B agent runs the words of the command unchanged. Without a server, workers start the training
themselves, so words that only affect a process started by the W&B agent are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from vidcls.files import expand_home
from vidcls.spec.yaml import Node, in_short
from vidcls.sweep.config.reading import Reader, shown

Engine = Literal["serverless", "wandb"]
EXAMPLE = '["${env}", vidcls, train, experiments/late_fusion.yaml, "${args}"]'
_ENVVAR = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_MACRO = re.compile(r"\$\{.*\}")
_SETTING = re.compile(r"(?:--)?(?P<key>[A-Za-z_]\w*(?:\.\w+)*)=.*", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_ARGS = ("${args}", "${args_no_hyphens}")
_OTHER_ARGS = {
    "${args_no_equals}": "vidcls train needs --key=value in one word",
    "${args_no_boolean_flags}": "it leaves out the value if it is true",
    "${args_json}": "vidcls train does not read JSON",
    "${args_json_file}": "vidcls train does not read JSON",
    "${args_append_hydra}": "vidcls train is not a Hydra program",
    "${args_override_hydra}": "vidcls train is not a Hydra program",
}


@dataclass(frozen=True)
class Command:
    """Command settings shared by every trial of a sweep."""

    spec_path: Path
    overrides: tuple[str, ...] = ()
    data_file: Path | None = None


def read_command(
    reader: Reader,
    node: Node,
    *,
    program: Node | None,
    engine: Engine,
    environment: Mapping[str, str] = os.environ,
) -> Command | None:
    """Read the command of a sweep file; mistakes are added to the reader."""
    if not isinstance(node.value, list) or not all(isinstance(item.value, str) for item in node.value):
        reader.wrong(node, "command", f"expected a list of words such as {EXAMPLE}, got {shown(node)}")
        return None
    num_before = len(reader.mistakes)
    if program is not None and not isinstance(program.value, str):
        reader.wrong(program, "program", f"expected text, got {shown(program)}")
    words = [_expand(str(item.value), environment) for item in node.value]
    if program is not None:
        if "${program}" not in words:
            reader.wrong(program, "program", "has no effect, because `command` has no ${program}")
        words = [str(program.value) if word == "${program}" else word for word in words]
    elif "${program}" in words:
        reader.wrong(node, "command", "${program} needs the key `program`")
        return None
    at = _after_train(words)
    if at is None:
        reader.wrong(node, "command", f"does not run `vidcls train SPEC`; write {EXAMPLE}")
        return None
    _check_prefix(reader, node, words[:at], engine)
    command = _read_arguments(reader, node, words[at:], engine)
    return command if len(reader.mistakes) == num_before else None


def unset_variables(words: Iterable[str]) -> list[str]:
    """Environment variables used by words of a command that were not set when it was read."""
    return [name for word in words for name in _ENVVAR.findall(word)]


def _expand(word: str, environment: Mapping[str, str]) -> str:
    # An unset variable stays as text. The caller that needs its value reports it; a worker does not need it.
    return _ENVVAR.sub(lambda match: environment.get(match[1], match[0]), word)


def _after_train(words: list[str]) -> int | None:
    """Index of the first argument of `vidcls train` in the words."""
    for k, word in enumerate(words[:-1]):
        if PurePath(word).name == "vidcls" and words[k + 1] == "train":
            return k + 2
    return None


def _check_prefix(reader: Reader, node: Node, words: list[str], engine: Engine) -> None:
    for word in words[:-2]:
        if word in {"${env}", "${interpreter}", "-m", "/usr/bin/env", "env"}:
            continue
        if PurePath(word).name.startswith("python"):
            continue
        if _MACRO.fullmatch(word):
            reader.wrong(node, "command", f"{word} is not allowed before `vidcls train`")
        elif engine == "serverless":
            where = (
                "`env` of a cluster profile" if _ASSIGNMENT.fullmatch(word) else "a cluster profile's `setup`"
            )
            reader.wrong(
                node, "command", f"{word} has no effect here, because workers start the training; use {where}"
            )


def _read_arguments(reader: Reader, node: Node, words: list[str], engine: Engine) -> Command | None:
    specs: list[str] = []
    overrides: list[str] = []
    data_file: Path | None = None
    has_args = False
    rest = iter(words)
    for word in rest:
        if word in _ARGS:
            has_args = True
        elif _MACRO.fullmatch(word) and not _ENVVAR.fullmatch(word):
            reason = _OTHER_ARGS.get(word, "not allowed here")
            reader.wrong(node, "command", f"{word}: {reason}; write ${{args}}")
        elif word == "--data" or word.startswith("--data="):
            file = next(rest, "") if word == "--data" else word.removeprefix("--data=")
            data_file = _path(reader, node, file)
            if not file:
                reader.wrong(node, "command", "--data needs a file")
        elif _SETTING.fullmatch(word) and not word.startswith(("--device=", "--restart=")):
            overrides.append(word.removeprefix("--"))
        elif word.startswith("-"):
            _check_option(reader, node, word, engine)
            if word == "--device":
                next(rest, "")
        else:
            specs.append(word)
    if not has_args:
        reader.wrong(node, "command", "has no ${args}, so no parameter would reach the training")
    if len(specs) != 1:
        named = ", ".join(specs) or "none"
        reader.wrong(node, "command", f"`vidcls train` needs one spec file, got {named}")
        return None
    return Command(_path(reader, node, specs[0]), tuple(overrides), data_file)


def _path(reader: Reader, node: Node, word: str) -> Path:
    try:
        return Path(expand_home(word))
    except ValueError as error:
        reader.wrong(node, "command", f"{in_short(word)}: {error}")
        return Path(word)


def _check_option(reader: Reader, node: Node, word: str, engine: Engine) -> None:
    option = word.partition("=")[0]
    if option == "--restart":
        reader.wrong(node, "command", "--restart would discard the progress of interrupted trials")
    elif option not in {"--device", "--accept-code"}:
        reader.wrong(node, "command", f"{word} is not allowed for trials")
    elif engine == "serverless":
        reader.wrong(node, "command", f"{option} has no effect here, because the workers set it")
