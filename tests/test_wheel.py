"""What a user installs, in an environment of its own, from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a new venv that holds the built wheel; only the dependencies are borrowed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("vidcls-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # An editable install of the same package lies there too; the wheel's own copy comes first on the path.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def test_the_wheel_makes_a_project_anywhere(installed: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def vidcls(*args: str) -> str:
        command = [installed / "vidcls", *args]
        return subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)

    where = [installed / "python", "-c", "import vidcls; print(vidcls.__file__)"]
    assert str(installed.parent) in subprocess.check_output(where, cwd=tmp_path, env=environment, text=True)
    assert "next: cd mine && make train" in vidcls("init", "mine")
    names = sorted(path.name for path in (tmp_path / "mine").iterdir())
    assert names == ["Makefile", "experiments", "slurm", "sweeps"]
    specs = sorted(str(path) for path in (tmp_path / "mine" / "experiments").glob("*.yaml"))
    assert len(specs) >= 5
    assert vidcls("spec", "check", *specs).count(": ok\n") == len(specs)
