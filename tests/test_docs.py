"""The README does what it says: every command is run, every line of output is looked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vidcls.data.demo import Amount, make_demo_of

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CLASS_SHOWN = r"  (Red|Blue)(Left|Right|Up|Down|Still) "


def normal(text: str) -> str:
    """Words without the numbers, names of runs and spacing that differ from machine to machine."""
    text = re.sub(r"[0-9a-f]{12}-s", "RUN-s", text)
    return " ".join(re.sub(r"\d+(\.\d+)?", "N", re.sub(r"[│┃*]", " ", text)).split())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def check_out(folder: Path) -> Path:
    """A copy of the checkout that uses this environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "slurm"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("experiments", "sweeps"):  # the best of a sweep is written there
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def cut_short(folder: Path) -> None:
    """A fifth of the videos, two epochs for the first run and one for the trials: nothing else changes."""
    make_demo_of(Amount(train=16, val=2, test=1, clips=1), folder / "data" / "motion10", seed=0)
    for name, epochs, short in (
        ("experiments/late_fusion.yaml", r"epochs: \d+", "epochs: 2"),
        ("sweeps/lr_grid.yaml", r"train.epochs: \{value: \d+\}", "train.epochs: {value: 1}"),
    ):
        text, num_cut = re.subn(epochs, short, (folder / name).read_text())
        assert num_cut == 1
        (folder / name).write_text(text)


def follow_readme(checkout: Path, *, alike: Callable[[str], str]) -> None:
    """Run every command, and look for every line of output among what came, both as `alike` sees them."""
    for code in blocks("py"):  # a file, named in its first line
        (checkout / code.splitlines()[0].removeprefix("# ")).write_text(code)
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
                assert alike(line) in alike(done.stdout), f"{command}\n{done.stdout}"
    for code in blocks("python"):
        subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True)


def test_every_command_of_the_readme_gives_its_output(tmp_path: Path) -> None:
    """With little data and short trainings, which may therefore predict another class."""
    checkout = check_out(tmp_path)
    cut_short(checkout)
    alike = lambda text: normal(re.sub(CLASS_SHOWN, "  CLASS ", text))  # noqa: E731
    follow_readme(checkout, alike=alike)


@pytest.mark.slow
def test_every_command_of_the_readme_gives_its_output_after_whole_trainings(tmp_path: Path) -> None:
    follow_readme(check_out(tmp_path), alike=normal)


def test_the_map_names_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "vidcls").glob("*/__init__.py")}
    assert rooms == set(re.findall(r"^\| `vidcls/(\w+)`", README, re.MULTILINE))
