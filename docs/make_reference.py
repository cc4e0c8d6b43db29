"""Writes the reference pages from the code, as markdown.

The pages have no other source: a key, a command or a file that the code has is on them with the text that it
has in the code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import BaseModel

from vidcls.cli import app
from vidcls.cli.glossary import WORDS
from vidcls.errors import ExitCode
from vidcls.launch.queue import AnyProfile
from vidcls.run import folder as run_folder
from vidcls.run.shapes import Status
from vidcls.spec.reference.settings import SectionReference, Setting, section_reference
from vidcls.spec.reference.shipped import shipped_values
from vidcls.spec.reference.value_types import shown_value, type_in_words
from vidcls.sweep.storage import folder as sweep_folder
from vidcls.sweep.storage import trials
from vidcls.tracking.row_keys import EPOCH_METRICS, OTHER_KEYS

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_EXAMPLE = {"split": "val", "which": "best", "suffix": ".onnx"}
"""Arguments for the paths of a run that depend on something."""


def write_reference(target: Path) -> None:
    """Write all pages, and `index.md`, into a folder."""
    pages = {
        "keys": keys_page(),
        "commands": commands_page(),
        "metrics": metrics_page(),
        "files": files_page(),
        "exit_codes": exit_codes_page(),
        "profiles": profiles_page(),
        "glossary": glossary_page(),
    }
    target.mkdir(exist_ok=True)
    intro = "All of these pages are made from the code.\n"
    (target / "index.md").write_text(_page("Reference", f"{intro}\n{_toctree(pages)}"))
    for name, text in pages.items():
        (target / f"{name}.md").write_text(text)


def keys_page() -> str:
    """Every key of a spec, section by section."""
    top = section_reference()
    assert top is not None
    intro = "`vidcls explain KEY` prints the same in a terminal. `…` stands for a value of yours.\n"
    plain = [setting for setting in top.settings if section_reference(setting.key) is None]
    parts = [intro, "## The whole spec\n", *map(_setting_text, _by_key(plain))]
    for setting in top.settings:
        section = section_reference(setting.key)
        if section is not None:
            parts += [
                f"## `{section.key}`\n\n{section.description}\n",
                *map(_setting_text, _by_key(section.settings)),
            ]
    return _page("Keys of a spec", "\n".join(parts))


def commands_page() -> str:
    """Every command with its arguments and options."""
    intro = "`vidcls COMMAND -h` prints the same in a terminal.\n"
    command = typer.main.get_command(app)
    return _page("Commands", "\n".join([intro, *_command_texts(command, ("vidcls",), None)]))


def metrics_page() -> str:
    """Every key of a row of `metrics.jsonl`."""
    intro = (
        "`metrics.jsonl` of a run has a row for each epoch, and one for some of the steps. Shares are from 0 "
        "to 1. A sweep optimises one of the first table, and takes its best epoch.\n"
    )
    tables = [
        _table(("metric of an epoch", "meaning"), EPOCH_METRICS),
        _table(("other key", "meaning"), OTHER_KEYS),
    ]
    return _page("Metrics", "\n".join([intro, *tables]))


def files_page() -> str:
    """Files of a run and of a sweep."""
    paths = _table(("file of a run", "meaning"), dict(_paths_of_a_run()))
    status = _table(("key of `status.json`", "meaning"), _attributes(Status))
    parts = [f"## A run\n\n{_as_text(run_folder)}\n{paths}\n{status}"]
    parts += [
        f"## A sweep\n\n{_as_text(sweep_folder)}\n",
        f"## The trials of a sweep\n\n{_as_text(trials)}\n",
    ]
    return _page("Files", "\n".join(parts))


def exit_codes_page() -> str:
    """Every exit code of the process."""
    rows = {f"{ExitCode[name].value}": text for name, text in _attributes(ExitCode).items()}
    assert len(rows) == len(ExitCode)
    table = _table(("code", "meaning"), rows)
    return _page(
        "Exit codes", f"{table}\nA second Ctrl-C, which does not wait for a checkpoint, gives 130.\n"
    )


def profiles_page() -> str:
    """Every key of a cluster profile, for each queue."""
    parts = ["A profile is a file `slurm/NAME.yaml`; `--cluster NAME` takes it.\n"]
    for section in get_args(AnyProfile):
        schema = section.model_json_schema()
        name = schema["properties"]["queue"]["const"]
        rows = {
            key: _sentence(_type_and_default(section, key, each), each.get("description", ""))
            for key, each in schema["properties"].items()
        }
        parts.append(f"## `queue: {name}`\n\n{_table(('key', 'meaning'), rows)}")
    return _page("Cluster profiles", "\n".join(parts))


def glossary_page() -> str:
    """The words of messages and help texts."""
    return _page("Glossary", _table(("word", "meaning"), dict(sorted(WORDS.items())), is_code=False))


def _by_key(settings: Iterable[Setting]) -> list[list[Setting]]:
    found: dict[str, list[Setting]] = {}
    for setting in settings:
        found.setdefault(setting.key, []).append(setting)
    return list(found.values())


def _setting_text(forms: list[Setting]) -> str:
    key = forms[0].key
    parts = [f"### `{key}`\n", *map(_form_text, forms)]
    inner = section_reference(key)
    if inner is not None:
        parts.append(
            f"Its keys are those of [`{_alike(inner)}`](#{_alike(inner)}), for the kinds that it takes.\n"
        )
    values = shipped_values(key)
    if values and inner is None:
        parts.append(
            "In the shipped files: " + "; ".join(f"`{v.file}` {_code(v.value)}" for v in values) + ".\n"
        )
    return "\n".join(parts)


def _alike(section: SectionReference) -> str:
    return section.key.partition(".")[0]


def _form_text(form: Setting) -> str:
    default = "It must be set." if form.default is None else f"Default: {_code(form.default)}."
    kinds = f" Only for {', '.join(f'`{kind}`' for kind in form.kinds)}." if form.kinds else ""
    lines = [f"*{_capital(form.type)}.* {default}{kinds}\n", *_paragraphs(form.description)]
    lines += [f"- *refused*: {reason}" for reason in form.refusals]
    return "\n".join(lines) + "\n"


def _paragraphs(description: str) -> list[str]:
    first, *items = description.splitlines()
    return [f"{first}\n", *(f"- {item}" for item in items)]


def _command_texts(command: Any, words: tuple[str, ...], around: Any) -> Iterator[str]:
    context = typer.Context(command, info_name=words[-1], parent=around)
    usage = " ".join((*words, *command.collect_usage_pieces(context)))
    yield f"## `{' '.join(words)}`\n\n```text\n{usage}\n```\n\n{command.help or ''}\n"
    records = [
        param.get_help_record(context) for param in command.get_params(context) if param.name != "help"
    ]
    shown = [f"- {_code(left)}: {right}" for left, right in filter(None, records)]
    if shown:
        yield "\n".join(shown) + "\n"
    for name in getattr(command, "commands", {}):
        inner = command.get_command(context, name)
        if not inner.hidden:
            yield from _command_texts(inner, (*words, name), context)


def _param_text(param: Any, context: Any) -> str:
    name, text = param.get_help_record(context)
    if param.param_type_name == "argument":
        name = name.partition(" <")[0]  # its type, which the text says better
    return f"- {_code(name)}: {text}"


def _paths_of_a_run() -> Iterator[tuple[str, str]]:
    run = run_folder.Run(Path("RUN"))
    for name, member in vars(run_folder.Run).items():
        if not name.endswith(("_file", "_dir")):
            continue
        if isinstance(member, property):
            path, text = getattr(run, name), member.__doc__
        else:
            wanted = list(inspect.signature(member).parameters)[1:]
            path, text = getattr(run, name)(*(_EXAMPLE[argument] for argument in wanted)), member.__doc__
        summary = inspect.cleandoc(text or "").partition("\n\n")[0]
        yield str(path.relative_to("RUN")), _capital(summary.removeprefix("Path of the "))


def _type_and_default(section: type[BaseModel], key: str, schema: Mapping[str, Any]) -> str:
    field = section.model_fields[key]
    if field.is_required():
        return f"{_capital(type_in_words(schema))}."
    default = field.get_default(call_default_factory=True, validated_data=None)
    plain = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
    shown = shown_value(list(plain) if isinstance(plain, tuple) else plain)
    return f"{_capital(type_in_words(schema))}; default {_code(shown)}."


def _attributes(documented: type) -> dict[str, str]:
    """Names and texts of the section `Attributes:` of a docstring."""
    text = inspect.cleandoc(documented.__doc__ or "").partition("Attributes:\n")[2]
    return {name: " ".join(meaning.split()) for name, meaning in _ATTRIBUTE.findall(text)}


def _as_text(module: Any) -> str:
    return f"```text\n{inspect.cleandoc(module.__doc__)}\n```\n"


def _table(head: tuple[str, str], rows: Mapping[str, str], *, is_code: bool = True) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    for name, meaning in rows.items():
        shown = " ".join(meaning.split()).replace("|", "\\|")
        lines.append(f"| {f'`{name}`' if is_code else name} | {shown} |")
    return "\n".join(lines) + "\n"


def _page(title: str, content: str) -> str:
    return f"# {title}\n\n{content}"


def _toctree(names: Iterable[str]) -> str:
    return "```{toctree}\n:maxdepth: 2\n\n" + "\n".join(names) + "\n```\n"


def _sentence(*parts: str) -> str:
    return " ".join(filter(None, parts))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _code(text: str) -> str:
    """Text as code, whatever it contains."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"
