"""The examples of CONTRIBUTING.md are followed to the letter in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with the example's files and changes."""
    tree = tmp_path_factory.mktemp("checkout")
    for name in ("vidcls", "tests", "experiments", "sweeps", "slurm"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name, code in re.findall(r"```python (\S+)\n(.*?)```", TEXT, re.DOTALL):
        assert not (tree / name).exists()
        (tree / name).write_text(code)
    for change in re.findall(r"```diff\n(.*?)```", TEXT, re.DOTALL):
        # Lines may have moved; what is changed must be as it is written.
        subprocess.run(["git", "apply"], input=change, text=True, cwd=tree, check=True)
    return tree


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_model_and_an_augmentation_touch_the_files_that_are_named_and_no_others(changed: Path) -> None:
    touched = {
        path.relative_to(changed).as_posix()
        for path in changed.glob("vidcls/**/*.py")
        if not (ROOT / path.relative_to(changed)).exists()
        or path.read_text() != (ROOT / path.relative_to(changed)).read_text()
    }
    model = {"models/kinds/last_frame.py", "spec/model.py", "models/build.py"}
    augmentation = {"upside_down.py", "__init__.py"}
    expected = model | {f"data/batches/augment/{name}" for name in augmentation} | {"spec/sections.py"}
    assert touched == {f"vidcls/{name}" for name in expected}


def test_what_is_new_passes_its_suite_like_the_others(changed: Path) -> None:
    suites = ("tests/models/kinds/test_conformance.py", "tests/data/batches/test_augment_conformance.py")
    new = "last_frame or every_kind or UpsideDown or random_numbers"
    run(changed, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suites, "-k", new)
    spec = ("spec", "show", "experiments/cnn3d.yaml", "model.kind=last_frame", "augment.upside_down=0.5")
    shown = run(changed, "-m", "vidcls", *spec).stdout
    assert "kind: last_frame" in shown
    assert "upside_down: 0.5" in shown


def test_the_code_of_the_examples_is_linted_like_the_rest(changed: Path) -> None:
    run(changed, "-m", "ruff", "check", "vidcls", "tests/models", "tests/data/batches")
    run(changed, "-m", "ruff", "format", "--check", "vidcls", "tests/models", "tests/data/batches")


def test_the_files_that_are_named_exist() -> None:
    named = set(re.findall(r"`((?:vidcls|tests|data|sweep|launch|training|spec)/[\w/.]+)`", TEXT))
    assert named
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "vidcls" / name).exists() or "NAME" in name, name
