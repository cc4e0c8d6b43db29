"""Code and experiments as they were when they were queued: edited after that, they change nothing of it.

<runs_dir>/queued/
    code-<digest>/                 the package; named by its content, shared by all that was queued with it
    <name>/<digest>-s<seed>/       one experiment on its data
        <digest>.yaml              with every default and override written out
        jobs/                      the jobs that were to train it, see `submissions`
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidcls.files import publish, write_text
from vidcls.launch.submissions import Submissions
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import fingerprint
from vidcls.spec.show import to_yaml

_PACKAGE = Path(__file__).parents[1]


def queued_dir(runs_dir: Path) -> Path:
    """Where frozen copies lie."""
    return runs_dir / "queued"


@dataclass(frozen=True)
class FrozenExperiment:
    """An experiment for a job.

    Attributes:
        folder: The same for all that would train the same run; the data itself is not looked at.
        text: The experiment as YAML.
    """

    folder: Path
    text: str

    @classmethod
    def of(cls, spec: Spec) -> FrozenExperiment:
        """The frozen form of a spec; nothing is written yet."""
        data = _digest(f"{fingerprint(spec, '')} {Path(spec.data.root).absolute()}")
        return cls(queued_dir(Path(spec.runs_dir)) / spec.name / f"{data}-s{spec.seed}", to_yaml(spec))

    @property
    def file(self) -> Path:
        """What the job trains; named by its content, so that it never changes."""
        return self.folder / f"{_digest(self.text)}.yaml"

    @property
    def submissions(self) -> Submissions:
        """The jobs that were to train it."""
        return Submissions(self.folder / "jobs")

    def write(self) -> None:
        """Write the file, unless it is there."""
        if not self.file.is_file():
            write_text(self.file, self.text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def copy_package(folder: Path) -> None:
    """Copy the package into a folder that nobody else sees yet."""
    shutil.copytree(_PACKAGE, folder / _PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))


def frozen_package(parent: Path) -> Path:
    """A folder below `parent` that holds this very code, named by its content and never changed.

    Returns:
        What goes in front of PYTHONPATH.
    """
    with beside(parent / "code") as aside:
        copy_package(aside)
        # Of the copy: the code may be edited this very moment.
        path = package_path(parent, aside / _PACKAGE.name)
        if not path.is_dir():
            publish(aside, path)
    return path


def package_path(parent: Path, package: Path = _PACKAGE) -> Path:
    """Where a copy of the package lies below `parent`, or would."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return parent / f"code-{digest.hexdigest()[:12]}"


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A folder beside a path, for what is to be published under it; gone afterwards, if it was not."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    aside.mkdir(parents=True)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
