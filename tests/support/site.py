"""A site whose queue commands print more than the queue does: programs on PATH that stand before it.

`Site` says what the commands of SLURM or LSF print, word by word. What is true is what it holds: `jobs` that were
submitted, by name. `wrapped` puts a wrapper before the commands of a real queue.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

_PROGRAM = """#!{python} -SE
import json, os, re, sys
folder, name, words = {folder!r}, os.path.basename(sys.argv[0]), sys.argv[1:]
says = json.load(open(f"{{folder}}/{{name}}.json"))
asked = " ".join(words)
kind = "find" if "--name=" in asked or "-J" in words else "tasks" if name in ("squeue", "bjobs") else "submit"
says = says.get(kind, says)
if name in ("sbatch", "bsub"):
    script = sys.stdin.read()
    if says["takes"]:
        job = re.search(r"--job-name=(\\S+)", asked + " " + script) or re.search(r"-J \\"?([\\w.+-]+)", script)
        with open(f"{{folder}}/jobs", "a") as jobs:
            jobs.write(job[1] + "\\n")
jobs = open(f"{{folder}}/jobs").read().split()
mark = re.search(r"--format=([^|]*[|])", asked)
wanted = re.search(r"--name=(\\S+)|-J (\\S+)", asked)
wanted = wanted and (wanted[1] or wanted[2])
found = [str(number) for number, job in enumerate(jobs, 10) if job == wanted]
for stream, key in ((sys.stdout, "out"), (sys.stderr, "err")):
    lines = []
    for line in says[key]:
        # A line about the jobs of the name that is asked for stands once for each of them.
        rows = found if "FOUND" in line else [""]
        lines += [line.replace("FOUND", job).replace("ASKED", wanted or "") for job in rows]
    text = says.get("end", "\\n").join(lines).replace("MARK", mark[1] if mark else "")
    if "NONE" in text:
        text = text.replace("NONE", "") if not found else ""
    stream.buffer.write((text + says.get("end", "\\n")).encode("utf-8", "surrogateescape") if lines else b"")
sys.exit(says["code"] if not (says.get("code_if_none") and not found) else says["code_if_none"])
"""
_COMMANDS = ("sbatch", "squeue", "bsub", "bjobs")
_SITES = {"scontrol": "ClusterName = here", "lsid": "My cluster name is here"}


class Site:
    """Commands that say what they are told to say.

    Attributes:
        folder: Holds them, and what they say.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in _COMMANDS:
            program = folder / name
            program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)))
            program.chmod(0o755)
        for name, line in _SITES.items():
            (folder / name).write_text(f"#!/bin/sh\necho '{line}'\n")
            (folder / name).chmod(0o755)
        self.clear()

    def clear(self) -> None:
        """No job is in the queue."""
        (self.folder / "jobs").write_text("")

    @property
    def jobs(self) -> list[str]:
        """Names of all jobs that were submitted, the first of which is job 10."""
        return (self.folder / "jobs").read_text().split()

    def says(self, command: str, **what: object) -> None:
        """What a command prints: `out` and `err` as lists of lines, and its exit `code`."""
        (self.folder / f"{command}.json").write_text(json.dumps(answer(**what)))

    def says_of(self, command: str, **kinds: Mapping[str, object]) -> None:
        """The same, apart for `tasks` (of a job) and `find` (by name)."""
        content = {kind: answer(**what) for kind, what in kinds.items()}
        (self.folder / f"{command}.json").write_text(json.dumps(content))


def answer(**what: object) -> dict[str, object]:
    """What is printed, with what is usual for the rest."""
    return {"out": [], "err": [], "code": 0, "takes": True, **what}


def site_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The commands, first on PATH."""
    site = Site(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return site


def wrapped(command: str, shell: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a wrapper of bash before a real command, which it calls as `"$real" "$@"`."""
    real = shutil.which(command)
    assert real is not None, command
    folder.mkdir(exist_ok=True)
    program = folder / command
    program.write_text(f"#!/bin/bash\nreal={real}\n{shell}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
