"""`vidcls explain`: explains the keys of a spec."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcls.cli.common import AsJson, console, echo, print_json

if TYPE_CHECKING:
    from vidcls.spec.reference.settings import SectionReference, Setting
    from vidcls.spec.reference.shipped import ShippedValue

_WIDTH = 100


def explain(
    key: Annotated[
        str,
        typer.Argument(
            metavar="[KEY]", help="Key such as optim.lr, or a section such as optim; default: all sections."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Explain a key of a spec: its type, default, meaning, what refuses it, and what shipped files set it to.

    For a section, list its keys.
    """
    from dataclasses import asdict

    from vidcls.spec.reference.settings import find_setting, section_reference
    from vidcls.spec.reference.shipped import shipped_values

    section = section_reference(key)
    if section is not None:
        if as_json:
            print_json(asdict(section))
        else:
            _show_section(section)
        return
    forms = find_setting(key)
    shipped = shipped_values(forms[0].key)
    if as_json:
        content: dict[str, Any] = {"key": forms[0].key, "forms": [asdict(form) for form in forms]}
        print_json({**content, "shipped": [asdict(value) for value in shipped]})
        return
    for form in forms:
        _show_setting(form)
    _show_shipped(shipped)


def _show_section(section: SectionReference) -> None:
    from vidcls.cli.output.screen import Table

    if section.description:
        echo(f"{section.key or 'a spec'}: {section.description}\n")
    table = Table("key", "default", "what it does", "only for kind", box=None)
    for setting in section.settings:
        default = "required" if setting.default is None else setting.default
        shown = "" if setting.type == "section" else default
        table.add_row(setting.key, shown, _first_sentence(setting), ", ".join(setting.kinds))
    console().print(table)
    echo(f"\nnext: vidcls explain {section.settings[0].key}")


def _show_setting(setting: Setting) -> None:
    default = "required" if setting.default is None else f"default {setting.default}"
    kinds = f"  (only for kind: {', '.join(setting.kinds)})" if setting.kinds else ""
    echo(f"{setting.key}: {setting.type}; {default}{kinds}")
    for line in (*setting.description.splitlines(), *(f"refused: {why}" for why in setting.refusals)):
        echo(fill(line, _WIDTH, initial_indent="  ", subsequent_indent="  "))


def _first_sentence(setting: Setting) -> str:
    first, end, _ = setting.description.splitlines()[0].partition(". ")
    return first + end.rstrip()


def _show_shipped(values: tuple[ShippedValue, ...]) -> None:
    if not values:
        echo("\nno shipped file sets it")
        return
    echo("\nin the shipped files:")
    width = max(len(value.file) for value in values)
    for value in values:
        echo(f"  {value.file:<{width}}  {value.value}")
