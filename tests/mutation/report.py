"""Score of the last `mutmut run`, and the survivors: those that `survivors/*.yaml` explains, and those that nobody does.

    python -m tests.mutation.report

Exit code 1 if fewer than 95 % of the mutants died, if a survivor is not explained, or if an explained one died.
A survivor is listed by its function and its change, since the numbers of mutants move with the code.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import yaml
from mutmut.mutation.diff_apply import get_diff_for_mutant

_MUTANTS = Path("mutants")
_LISTS = Path(__file__).with_name("survivors")
_LEAST = 0.95
_SURVIVED, _NO_TEST, _NOT_RUN = 0, 33, None

Change = tuple[str, str]
"""Name of a function, and `old -> new`."""


def main() -> int:
    """Print score and survivors."""
    codes = {
        name: code
        for file in sorted(_MUTANTS.rglob("*.meta"))
        for name, code in json.loads(file.read_text())["exit_code_by_key"].items()
    }
    counts = Counter(codes.values())
    survivors = [name for name, code in codes.items() if code in (_SURVIVED, _NO_TEST)]
    num_run = len(codes) - counts[_NOT_RUN]
    num_died = num_run - len(survivors)
    found = {_change(name) for name in survivors}
    explained = _explained()
    ran = {_function(name) for name, code in codes.items() if code is not _NOT_RUN}
    unexplained = sorted(found - explained.keys())
    dead = sorted(change for change in explained.keys() - found if change[0] in ran)
    share = num_died / num_run if num_run else 0.0
    print(f"{num_died} of {num_run} mutants died ({share:.1%}), {len(survivors)} survived")
    if counts[_NOT_RUN]:
        print(f"{counts[_NOT_RUN]} were not run")
    _print_list("not explained", unexplained)
    _print_list("explained, but it died or is gone", dead)
    return int(share < _LEAST or bool(unexplained) or bool(dead))


def _function(name: str) -> str:
    """`vidcls.training.optim.build_optimizer`, or with a class `vidcls.training.loop.Loop.fit`."""
    module, _, mangled = name.partition("__mutmut_")[0].rpartition(".")
    inner = mangled.removeprefix("x").replace("ǁ", ".").strip(".")
    return f"{module}.{inner.removeprefix('_') if 'ǁ' not in mangled else inner}"


def _change(name: str) -> Change:
    lines = get_diff_for_mutant(name).splitlines()[2:]
    old, new = (" ".join(line[1:].strip() for line in lines if line.startswith(mark)) for mark in "-+")
    return _function(name), f"{old} -> {new}"


def _explained() -> dict[Change, str]:
    """Reason of each explained survivor."""
    found: dict[Change, str] = {}
    for file in sorted(_LISTS.glob("*.yaml")):
        for function, reasons in yaml.safe_load(file.read_text()).items():
            for reason, changes in reasons.items():
                found |= {(function, change): reason for change in changes}
    return found


def _print_list(title: str, changes: list[Change]) -> None:
    """As YAML, for `survivors/*.yaml`."""
    if not changes:
        return
    print(f"\n{title}: {len(changes)}")
    nested: dict[str, dict[str, list[str]]] = {}
    for function, change in changes:
        nested.setdefault(function, {}).setdefault("TODO why this changes nothing", []).append(change)
    print(yaml.safe_dump(nested, width=1000, allow_unicode=True))


if __name__ == "__main__":
    sys.exit(main())
