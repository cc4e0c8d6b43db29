"""The folder of a serverless sweep: all there is to it, readable from any machine that sees the disk.

runs/sweeps/<name>-<digest>/
    sweep.yaml   the search, as it was given          base.yaml   the experiment, with every default
    options.json what launch was told                 code/       the package that the workers run
    trials/  workers/  control/                       the state, see vidcls/sweep/trials.py
    jobs/    what was submitted                       logs/       of tasks and trials
    runs/    the runs of the trials

Nothing in it names the folder itself but the records of what was submitted: moved, or reached through a link,
it is the same sweep, and a copy has nothing to do with the original.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from vidcls.errors import UserError, VidclsError
from vidcls.files import write_json
from vidcls.json_files import read_json
from vidcls.launch.submissions import Submissions
from vidcls.runs import Run
from vidcls.spec.base import NonNegativeInt, PositiveFloat, PositiveInt, Section
from vidcls.spec.experiment import Spec
from vidcls.spec.load import load_spec
from vidcls.sweep.storage.control import Control
from vidcls.sweep.storage.storage import DiskStorage
from vidcls.sweep.storage.trials import Trial, Trials
from vidcls.sweep.storage.worker_heartbeat import Workers

SWEEPS = "sweeps"
"""Where the sweeps lie in a folder of runs."""
RUNS = "runs"
"""Where the runs lie in a sweep's folder."""


class SweepOptions(Section):
    """What W&B's format has no key for, frozen when a sweep is launched."""

    seed: NonNegativeInt = 0
    """Seed of the search; random and Bayesian draws are functions of it."""
    asha: bool = False
    """Promote the best of each rung instead of stopping the worst."""
    repeats: PositiveInt = 1
    """Seeds a configuration."""
    per_gpu: PositiveInt = 1
    """Trials at once on one GPU, or in one task without one."""
    keep: NonNegativeInt = 3
    """Weights are kept of so many of the best configurations, of all their repeats."""
    attempts: PositiveInt = 3
    """Crashes without progress after which a trial has failed."""
    gpu_hours: PositiveFloat | None = None
    """What all workers may spend together."""
    lease_s: PositiveFloat = 90.0
    """A worker without a sign of life for so long is dead; network disks show old files for up to 60 s."""
    until: PositiveFloat | None = None
    """When workers end, in seconds since 1970; the clocks of two machines may differ by minutes."""


_OPTIONS = TypeAdapter(SweepOptions)


@dataclass(frozen=True)
class SweepFolder:
    """A sweep on disk."""

    path: Path

    @classmethod
    def at(cls, runs_dir: Path, slug: str, *, text: str, base: str, options: SweepOptions) -> SweepFolder:
        """Where a search is kept: the same request finds the same folder, so a launch can be repeated."""
        identity = {"seed", "asha", "repeats"}
        asked = options.model_dump(include=identity)
        content = json.dumps([text, base, asked], sort_keys=True)
        return cls(runs_dir / SWEEPS / f"{slug}-{hashlib.sha256(content.encode()).hexdigest()[:8]}")

    @classmethod
    def open(cls, path: Path) -> SweepFolder:
        """A sweep by its folder, or the only one below a folder.

        Raises:
            UserError: If there is none, or several.
        """
        folder = cls(path.absolute())
        if folder.options_file.is_file():
            return folder
        below = find_sweeps(path)
        if len(below) == 1:
            return below[0]
        if below:
            listing = "\n".join(f"  {other.path}" for other in below[:10])
            raise UserError(f"{path} holds {len(below)} sweeps; name one:\n{listing}")
        raise UserError(
            f"{path}: no sweep there",
            hint="vidcls sweep ls shows those there are; vidcls sweep launch FILE starts one",
        )

    @property
    def sweep_file(self) -> Path:
        """The search."""
        return self.path / "sweep.yaml"

    @property
    def base_file(self) -> Path:
        """The experiment that trials vary."""
        return self.path / "base.yaml"

    @property
    def options_file(self) -> Path:
        """What launch was told; its presence makes a folder a sweep."""
        return self.path / "options.json"

    @property
    def code_dir(self) -> Path:
        """Holds the copy of the package."""
        return self.path / "code"

    @property
    def runs_dir(self) -> Path:
        """Holds the runs."""
        return self.path / RUNS

    @property
    def log_dir(self) -> Path:
        """Holds the logs of tasks."""
        return self.path / "logs"

    def trial_log(self, number: int) -> Path:
        """What a trial printed, over all its attempts."""
        return self.path / "trials" / f"{number:05d}" / "log.txt"

    @property
    def storage(self) -> DiskStorage:
        """The state."""
        return DiskStorage(self.path)

    def options(self) -> SweepOptions:
        """What launch was told."""
        return read_json(
            self.options_file,
            _OPTIONS,
            hint="restore it, or launch the sweep into another runs_dir",
        )

    @property
    def runs_setting(self) -> str:
        """The setting of a trial's experiment that puts its run into this folder, wherever that is now."""
        return f"runs_dir={self.runs_dir}"

    def base(self, *settings: str) -> Spec:
        """The experiment that trials vary, with further settings as `key=value`."""
        return load_spec(self.base_file, [*settings, self.runs_setting]).spec

    def run_name(self, folder: Path) -> str:
        """A run of this sweep as its trials name it: by its path below the sweep's folder."""
        return folder.relative_to(self.path).as_posix()

    def run_of(self, trial: Trial) -> Run | None:
        """The run of a trial that has ended, None where it never began one.

        Raises:
            VidclsError: If the trial names a run outside of the sweep.
        """
        name = trial.end.get("run") if trial.end else None
        if name is None:
            return None
        if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
            raise VidclsError(
                f"{self.path}: trial {trial.number} names a run outside of the sweep: {name!r}",
                hint="its files are damaged, or of another version of vidcls: use that version with it",
            )
        return Run(self.path / name)

    def freeze(self, options: SweepOptions) -> None:
        """Write the options, last of all."""
        write_json(self.options_file, options.model_dump())

    def trials(self) -> Trials:
        """The trials."""
        return Trials(self.storage, max_strikes=self.options().attempts)

    def workers(self) -> Workers:
        """The workers, past and present."""
        return Workers(self.storage)

    def control(self) -> Control:
        """What was said to the workers."""
        return Control(self.storage)

    def submissions(self) -> Submissions:
        """What was submitted."""
        return Submissions(self.path / "jobs")


def find_sweeps(root: Path) -> list[SweepFolder]:
    """All sweeps below a folder of runs, by name."""
    folders = [root, root / SWEEPS, root / "runs" / SWEEPS]
    # A hidden folder is a sweep that is being written.
    files = [file for folder in folders if folder.is_dir() for file in folder.glob("[!.]*/options.json")]
    return [SweepFolder(file.parent.absolute()) for file in sorted(set(files))]
