"""The README does what it says: every command is run, every line of output is looked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def normal(text: str) -> str:
    """Words without the numbers, names of runs and spacing that differ from machine to machine."""
    text = re.sub(r"[0-9a-f]{12}-s", "RUN-s", text)
    return " ".join(re.sub(r"\d+(\.\d+)?", "N", re.sub(r"[│┃*]", " ", text)).split())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout that uses this environment."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "sweeps", "slurm"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "experiments", folder / "experiments")  # the best of a sweep is written there
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def test_every_command_of_the_readme_gives_its_output(checkout: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for block in blocks("console"):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *expected = step.strip().splitlines()
            # The environment is there already: make must not set it up again.
            command = re.sub(r"^make ", "make -o .venv/.ready ", command)
            done = subprocess.run(
                command, shell=True, cwd=checkout, env=os.environ | {"PATH": path}, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            assert "Traceback" not in done.stdout
            for line in expected:
                assert normal(line) in normal(done.stdout), f"{command}\n{done.stdout}"
    for code in blocks("python"):
        subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True)


def test_the_map_names_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "vidcls").glob("*/__init__.py")}
    assert rooms == set(re.findall(r"^\| `vidcls/(\w+)`", README, re.MULTILINE))
