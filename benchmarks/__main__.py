"""`python -m benchmarks [NAME...]`: measure all claims or those named; exit code 1 if one was missed.

Each claim is also written as one JSON line, with machine and versions, to `build/bench/results.jsonl`; keep a
copy, and `python -m benchmarks --compare OLD NEW` shows what got slower (exit code 1 if anything did).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from benchmarks import record
from benchmarks.common import Result

# From the shortest to the longest; each name is a module of this package with a function `run`.
NAMES = (
    "startup",
    "kept_memory",
    "store",
    "check",
    "preflight",
    "decode",
    "audit",
    "memory",
    "export",
    "sweep_folder",
    "study",
    "epoch",
    "neighbours",
    "sweep_search",
    "folds",
    "whole",
    "verdicts",
    "recipe",
    "features",
    "timeline",
    "sweep",
    "motion10",
)


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(NAMES)}; all if none")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("OLD", "NEW"), help="two files of results")
    asked = parser.parse_args()
    if asked.compare:
        return _compare(*asked.compare)
    names = asked.names or NAMES
    if unknown := sorted(set(names).difference(NAMES)):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    _warn_if_busy()
    results: list[Result] = []
    for name in names:
        started = time.monotonic()
        found: list[Result] = importlib.import_module(f"benchmarks.{name}").run()
        for result in found:
            print(result, flush=True)
        record.append(found)
        print(f"  ({name} took {time.monotonic() - started:.0f} s)", flush=True)
        results += found
    _print_table(results)
    return 0 if all(result.held for result in results) else 1


def _compare(old: Path, new: Path) -> int:
    from rich.console import Console
    from rich.table import Table

    rows, num_worse = record.compare(old, new)
    table = Table("claim", str(old), str(new), "")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    print(f"{num_worse} of {len(rows)} claims got worse")
    return int(num_worse > 0)


def _warn_if_busy() -> None:
    import psutil

    from vidcls.process.cores import usable_cores

    load = psutil.getloadavg()[0]
    if load > usable_cores() / 2:
        print(f"other processes are at work (load {load:.1f}): times and ratios will suffer", flush=True)


def _print_table(results: list[Result]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("claim", "measured", "target", "")
    for result in results:
        verdict = "[green]held[/]" if result.held else "[red]missed[/]"
        table.add_row(result.name, result.measured, result.target, verdict)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
