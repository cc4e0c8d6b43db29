"""Frozen copies of code and experiments at submission, so that later edits do not affect queued jobs.

<runs_dir>/queued/
    code-<digest>/                 the package, with code of users that experiments name; named by its
                                   content, shared by all jobs queued with it
    <name>/<digest>-s<seed>/       one experiment on its data
        <digest>.yaml              the experiment, with every default and override written out
        jobs/                      the jobs submitted to train it, see `submissions`
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcls.files import publish, write_text
from vidcls.launch.submissions import Submissions
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import fingerprint
from vidcls.spec.show import to_yaml
from vidcls.user_code.code import UserCode
from vidcls.user_code.copies import FROZEN_NAME, write_copies

_PACKAGE = Path(__file__).parents[1]


def queued_dir(runs_dir: Path) -> Path:
    """Folder of the frozen copies."""
    return runs_dir / "queued"


@dataclass(frozen=True)
class FrozenExperiment:
    """Frozen experiment of a job.

    Attributes:
        folder: Folder, the same for all jobs that would train the same run; the data is not compared.
        text: Experiment as YAML.
    """

    folder: Path
    text: str

    @classmethod
    def of(cls, spec: Spec) -> FrozenExperiment:
        """Freeze a spec; nothing is written yet."""
        data = _digest(f"{fingerprint(spec, '')} {spec.data.place}")
        return cls(queued_dir(Path(spec.runs_dir)) / spec.name / f"{data}-s{spec.seed}", to_yaml(spec))

    @property
    def file(self) -> Path:
        """File of the experiment; named by its content, so that it never changes."""
        return self.folder / f"{_digest(self.text)}.yaml"

    @property
    def submissions(self) -> Submissions:
        """Jobs submitted to train this experiment."""
        return Submissions(self.folder / "jobs")

    def write(self) -> None:
        """Write the file, unless it exists."""
        if not self.file.is_file():
            write_text(self.file, self.text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def copy_package(folder: Path, codes: Sequence[UserCode] = ()) -> None:
    """Copy the package, and code of users beside it, into a folder that no other process sees yet."""
    shutil.copytree(_PACKAGE, folder / _PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    write_copies(folder / FROZEN_NAME, codes)


def frozen_package(parent: Path, codes: Sequence[UserCode] = ()) -> Path:
    """Make a folder below `parent` that holds exactly this code, named by its content and never changed.

    Args:
        parent: Folder of the copies.
        codes: Code of users that is copied with the package, which prefers it to other code of its targets.

    Returns:
        Folder to put first in PYTHONPATH.
    """
    with beside(parent / "code") as aside:
        copy_package(aside, codes)
        # Digest of the copy, because the code may be edited at this moment.
        path = package_path(parent, codes, package=aside / _PACKAGE.name)
        if not path.is_dir():
            publish(aside, path)
    return path


def package_path(parent: Path, codes: Sequence[UserCode] = (), *, package: Path = _PACKAGE) -> Path:
    """Path of a copy of the package below `parent`, whether it exists or not."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for code in codes:
        digest.update(f"{code.target} {code.identity}".encode())
    return parent / f"code-{digest.hexdigest()[:12]}"


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Temporary folder beside a path, for content to publish there; removed afterwards if not published."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    aside.mkdir(parents=True)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
