"""Claims as they were measured, one JSON line each, and the comparison of two such files."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.common import REPOSITORY, WORK, Result

FILE = WORK / "results.jsonl"
SLOWER = 1.1
"""What differs by less may be chance."""
_PACKAGES = ("torch", "torchvision", "numpy", "av", "decord", "wandb")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


def append(results: Iterable[Result], file: Path = FILE) -> None:
    """Append one JSON line a claim, with the machine and the versions on which it was measured."""
    file.parent.mkdir(parents=True, exist_ok=True)
    here = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), **_machine()}
    with file.open("a", encoding="utf-8") as lines:
        for result in results:
            value = {"value": _value(result.measured), "better": _better(result.target)}
            lines.write(json.dumps({**vars(result), **value, **here}) + "\n")


def compare(first: Path, second: Path) -> tuple[list[tuple[str, str, str, str]], int]:
    """Compare the last line of each claim in two files.

    Returns:
        Claim, both measurements and a verdict, the worst first; and the number of claims that got worse.

    Raises:
        SystemExit: If a file is not one of results.
    """
    old, new = _last(first), _last(second)
    rows = sorted((_row(name, old[name], new[name]) for name in old if name in new), reverse=True)
    lone = [(name, old.get(name), new.get(name)) for name in {**old, **new} if (name in old) != (name in new)]
    shown = [row[1:] for row in rows]
    shown += [(name, _measured(a), _measured(b), "in one file only") for name, a, b in lone]
    return shown, sum(row[0] > SLOWER for row in rows)


def _row(name: str, old: dict[str, Any], new: dict[str, Any]) -> tuple[float, str, str, str, str]:
    if not old["value"] or not new["value"] or new["better"] is None:
        return 0.0, name, old["measured"], new["measured"], "neither is better"
    ratio = new["value"] / old["value"]
    worse = ratio if new["better"] == "lower" else 1 / ratio
    word = "worse" if worse > SLOWER else "better" if worse < 1 / SLOWER else "the same"
    return worse, name, old["measured"], new["measured"], f"{word} ({ratio:.2f} times)"


def _last(file: Path) -> dict[str, dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return {line["name"]: line for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{file}: not a file of results ({error})") from error


def _measured(line: dict[str, Any] | None) -> str:
    return "" if line is None else str(line["measured"])


def _value(measured: str) -> float | None:
    found = _NUMBER.search(measured)
    return float(found[0].replace(",", "")) if found else None


def _better(target: str) -> str | None:
    """Which direction a target asks for; None if none, such as `each once` or `reported whatever it is`."""
    if target.startswith("at least"):
        return "higher"
    return "lower" if target.startswith(("at most", "under")) else None


def _machine() -> dict[str, Any]:
    import psutil

    from vidcls.installed import releases
    from vidcls.process.cores import processor, usable_cores

    return {
        "processor": processor(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "versions": releases(_PACKAGES),
    }


def _commit() -> str:
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
