"""An experiment as it was when it was queued: what is edited after that changes nothing of what is trained.

<runs_dir>/queued/
    code-<digest>/                 the package; named by its content, shared by all that was queued with it
    <name>/<digest>-s<seed>/       one experiment on its data
        <digest>.yaml              with every default and override written out
        jobs/                      the jobs that were to train it, see `submissions`
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from vidcls.files import write_text
from vidcls.launch.submissions import Submissions
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import fingerprint
from vidcls.spec.show import to_yaml


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
