"""The pages do what they say: every command is run, every line of output is looked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lsf.fixture import Lsf
from tests.support.slurm import Slurm
from tests.support.waiting import wait_for
from vidcls.data.demo import Amount, make_demo_of

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "docs" / "how_to"
SLURM, LSF, TUTORIAL = HOW_TO / "slurm.md", HOW_TO / "lsf.md", ROOT / "docs" / "tutorial.md"
_ORDER = re.search(r"toctree.*?\n\n(.*?)\n```", (HOW_TO / "index.md").read_text(), re.DOTALL)
assert _ORDER is not None
IN_ORDER = [HOW_TO / f"{name}.md" for name in _ORDER[1].split()]
ANYWHERE = [ROOT / "README.md", *(page for page in IN_ORDER if page not in (SLURM, LSF))]
"""Pages that are followed one after the other, in one checkout: a later one may use what an earlier one made."""
CLASS_SHOWN = r"  (Red|Blue)(Left|Right|Up|Down|Still) "


def normal(text: str) -> str:
    """Words without the numbers, names of runs and spacing that differ from machine to machine."""
    text = re.sub(r"[0-9a-f]{12}-s", "RUN-s", text)
    return " ".join(re.sub(r"\d+(\.\d+)?", "N", re.sub(r"[│┃*]", " ", text)).split())


def normal_of_any_class(text: str) -> str:
    """The same, where short trainings may predict another class."""
    return normal(re.sub(CLASS_SHOWN, "  CLASS ", text))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def check_out(folder: Path) -> Path:
    """A copy of the checkout that uses this environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("experiments", "sweeps", "slurm"):  # pages write files there
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def cut_short(folder: Path) -> Path:
    """A fifth of the videos, two epochs for the first run and one for the trials: nothing else changes."""
    make_demo_of(Amount(train=16, val=2, test=1, clips=1), folder / "data" / "motion10", seed=0)
    for name, epochs, short in (
        ("experiments/late_fusion.yaml", r"epochs: \d+", "epochs: 2"),
        ("sweeps/lr_grid.yaml", r"train.epochs: \{value: \d+\}", "train.epochs: {value: 1}"),
    ):
        text, num_cut = re.subn(epochs, short, (folder / name).read_text())
        assert num_cut == 1
        (folder / name).write_text(text)
    return folder


def follow(page: Path, checkout: Path, *, alike: Callable[[str], str] = normal_of_any_class) -> None:
    """Run every command, and look for every line of output among what came, both as `alike` sees them."""
    for text in (*blocks(page, "py"), *blocks(page, "yaml")):  # a file, named in its first line
        (checkout / text.splitlines()[0].removeprefix("# ")).write_text(text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for block in blocks(page, "console"):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *expected = step.strip().splitlines()
            # The environment is there already: make must not set it up again.
            command = re.sub(r"^make ", "make -o .venv/.ready ", command)
            done = subprocess.run(
                command, shell=True, cwd=checkout, env=os.environ | {"PATH": path}, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            assert "Traceback" not in done.stdout
            # 3: some videos were left out, or a split leaks.
            assert expected or done.returncode in (0, 3), f"{command}\n{done.stdout}"
            for line in expected:
                assert alike(line) in alike(done.stdout), f"{command}\n{done.stdout}"
    for code in blocks(page, "python"):
        subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True)


def test_every_command_of_the_readme_gives_its_output(tmp_path: Path) -> None:
    """With little data and short trainings, which may therefore predict another class."""
    follow(ROOT / "README.md", cut_short(check_out(tmp_path)))


@pytest.mark.slow
def test_every_command_of_the_pages_gives_its_output_after_whole_trainings(tmp_path: Path) -> None:
    checkout = check_out(tmp_path)
    for page in ANYWHERE:
        follow(page, checkout, alike=normal)


@pytest.mark.slow
def test_the_page_about_slurm_leads_through_a_real_one(tmp_path: Path, slurm: Slurm) -> None:
    follow(SLURM, cut_short(check_out(tmp_path)))
    wait_for(lambda: not slurm.jobs(), what="workers to leave")


@pytest.mark.slow
def test_the_page_about_lsf_leads_through_it(tmp_path: Path, lsf: Lsf) -> None:
    (tmp_path / "checkout").mkdir()
    follow(LSF, cut_short(check_out(tmp_path / "checkout")))
    assert list(lsf.state.iterdir())


@pytest.mark.slow
def test_the_tutorial_leads_from_real_videos_to_a_poster(tmp_path: Path, shared: Path) -> None:
    checkout = check_out(tmp_path)
    for name in ("ufc10", "ufc10_frames"):
        (checkout / name).symlink_to(shared / name)
    follow(TUTORIAL, checkout)
    assert (checkout / "mistakes.png").is_file()
    assert (checkout / "leak" / "leak.json").is_file()


def test_every_page_with_commands_is_followed() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert {page for page in pages if blocks(page, "console")} <= {*ANYWHERE, SLURM, LSF, TUTORIAL}


def test_the_map_names_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "vidcls").glob("*/__init__.py")}
    readme = (ROOT / "README.md").read_text()
    assert rooms == set(re.findall(r"^\| `vidcls/(\w+)`", readme, re.MULTILINE))
