"""Folder of a serverless sweep: it holds the whole state, readable from any machine that sees the disk.

runs/sweeps/<name>-<digest>/
    sweep.yaml   the sweep file, as it was given      base.yaml   the experiment, with every default
    options.json the options of the launch            code/       the package that the workers run
    trials/  workers/  control/                       the state, see vidcls/sweep/storage/trials.py
    jobs/    records of submitted jobs                logs/       logs of tasks and trials
    runs/    the runs of the trials
    specs/   the experiments of a race, which has several   looks/   its comparisons, see search/race.py

Only the records of submitted jobs contain the path of the folder. So a sweep can be moved or reached through
a link, and a copy of it is independent of the original.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter

from vidcls.errors import UserError, VidclsError
from vidcls.files import write_json
from vidcls.json_files import read_json
from vidcls.launch.submissions import Submissions
from vidcls.run.folder import Run
from vidcls.spec.base import NonNegativeInt, PositiveFloat, PositiveInt, Section
from vidcls.spec.experiment import Spec
from vidcls.spec.load import load_spec
from vidcls.sweep.space.space import overrides
from vidcls.sweep.storage.control import Control
from vidcls.sweep.storage.storage import DiskStorage
from vidcls.sweep.storage.trials import Trial, Trials
from vidcls.sweep.storage.worker_heartbeat import Workers

SWEEPS = "sweeps"
"""Name of the folder of sweeps inside a folder of runs."""
RUNS = "runs"
"""Name of the folder of runs inside a sweep's folder."""
CONTENDER = "spec"
"""Key, in the point of a trial of a race, of the name of its experiment."""


class SweepOptions(Section):
    """Options without a key in the W&B format, frozen when a sweep is launched."""

    seed: NonNegativeInt = 0
    """Seed of the search; it determines random and Bayesian draws."""
    asha: bool = False
    """Promote the best trials of each rung instead of stopping the worst."""
    repeats: PositiveInt = 1
    """Number of seeds per configuration."""
    per_gpu: PositiveInt = 1
    """Number of simultaneous trials on one GPU, or in one task without a GPU."""
    keep: NonNegativeInt = 3
    """Number of best configurations whose weights are kept, for all their repeats."""
    attempts: PositiveInt = 3
    """Number of crashes without progress after which a trial counts as failed."""
    gpu_hours: PositiveFloat | None = None
    """Limit of GPU hours for all workers together."""
    lease_s: PositiveFloat = 90.0
    """Seconds without a heartbeat after which a worker is dead; network disks show old files up to 60 s."""
    until: PositiveFloat | None = None
    """Time at which workers end, in seconds since 1970; clocks of two machines may differ by minutes."""
    looks: tuple[PositiveInt, ...] = Field((), strict=False)  # JSON has lists only
    """Numbers of seeds at which a race compares its experiments; empty for any other sweep."""


_OPTIONS = TypeAdapter(SweepOptions)


@dataclass(frozen=True)
class SweepFolder:
    """Folder of a sweep on disk."""

    path: Path

    @classmethod
    def at(cls, runs_dir: Path, slug: str, *, text: str, base: str, options: SweepOptions) -> SweepFolder:
        """Folder for a sweep: the same request gives the same folder, so a launch can be repeated."""
        identity = {"seed", "asha", "repeats", *(("looks",) if options.looks else ())}
        asked = options.model_dump(include=identity)
        content = json.dumps([text, base, asked], sort_keys=True)
        return cls(runs_dir / SWEEPS / f"{slug}-{hashlib.sha256(content.encode()).hexdigest()[:8]}")

    @classmethod
    def open(cls, path: Path) -> SweepFolder:
        """Open a sweep by its folder, or the only sweep below a folder.

        Raises:
            UserError: If there is no sweep, or more than one.
        """
        folder = cls(path.absolute())
        if folder.options_file.is_file():
            return folder
        below = find_sweeps(path)
        if len(below) == 1:
            return below[0]
        if below:
            listing = "\n".join(f"  {other.path}" for other in below[:10])
            raise UserError(f"{path} contains {len(below)} sweeps; name one of them:\n{listing}")
        raise UserError(
            f"{path}: not a sweep",
            hint="vidcls sweep ls lists all sweeps; vidcls sweep launch FILE starts one",
        )

    @property
    def sweep_file(self) -> Path:
        """Path of the sweep file."""
        return self.path / "sweep.yaml"

    @property
    def base_file(self) -> Path:
        """Path of the experiment that the trials vary."""
        return self.path / "base.yaml"

    def contender_file(self, name: str) -> Path:
        """Path of an experiment of a race."""
        return self.path / "specs" / f"{name}.yaml"

    def experiment_of(self, point: Mapping[str, Any]) -> tuple[Path, tuple[str, ...]]:
        """Experiment of a trial: its file, and the settings of the point of the trial."""
        if not self.options().looks:
            return self.base_file, overrides(dict(point))
        settings = {key: value for key, value in point.items() if key != CONTENDER}
        return self.contender_file(point[CONTENDER]), overrides(settings)

    @property
    def options_file(self) -> Path:
        """Path of the launch options; a folder with this file is a sweep."""
        return self.path / "options.json"

    @property
    def code_dir(self) -> Path:
        """Folder of the copied package."""
        return self.path / "code"

    @property
    def runs_dir(self) -> Path:
        """Folder of the runs."""
        return self.path / RUNS

    @property
    def log_dir(self) -> Path:
        """Folder of the logs of tasks."""
        return self.path / "logs"

    def trial_log(self, number: int) -> Path:
        """Path of the output of a trial, over all its attempts."""
        return self.path / "trials" / f"{number:05d}" / "log.txt"

    @property
    def storage(self) -> DiskStorage:
        """Storage of the sweep's state."""
        return DiskStorage(self.path)

    def options(self) -> SweepOptions:
        """Options given at launch."""
        return read_json(
            self.options_file,
            _OPTIONS,
            hint="restore this file, or launch the sweep into another runs_dir",
        )

    @property
    def runs_setting(self) -> str:
        """Setting of a trial's experiment that puts its run into this folder, at its current path."""
        return f"runs_dir={self.runs_dir}"

    def base(self, *settings: str) -> Spec:
        """Experiment that the trials vary, with additional settings as `key=value`."""
        return load_spec(self.base_file, [*settings, self.runs_setting]).spec

    def run_name(self, folder: Path) -> str:
        """Name of a run in the trial records: its path relative to the sweep's folder."""
        return folder.relative_to(self.path).as_posix()

    def run_of(self, trial: Trial) -> Run | None:
        """Run of a trial that has ended; None if the trial never started a run.

        Raises:
            VidclsError: If the trial names a run outside of the sweep.
        """
        name = trial.end.get("run") if trial.end else None
        if name is None:
            return None
        if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
            raise VidclsError(
                f"{self.path}: trial {trial.number} names a run outside of the sweep: {name!r}",
                hint="its files are damaged, or written by another version of vidcls: use that version for "
                "this sweep",
            )
        return Run(self.path / name)

    def freeze(self, options: SweepOptions) -> None:
        """Write the options; this must be the last step of a launch."""
        write_json(self.options_file, options.model_dump())

    def trials(self) -> Trials:
        """Trials of the sweep."""
        return Trials(self.storage, max_strikes=self.options().attempts)

    def workers(self) -> Workers:
        """Workers of the sweep, past and present."""
        return Workers(self.storage)

    def control(self) -> Control:
        """Control events of the sweep."""
        return Control(self.storage)

    def submissions(self) -> Submissions:
        """Submissions of the sweep's jobs."""
        return Submissions(self.path / "jobs")


def find_sweeps(root: Path) -> list[SweepFolder]:
    """All sweeps below a folder of runs, sorted by name."""
    folders = [root, root / SWEEPS, root / "runs" / SWEEPS]
    # A hidden folder is a sweep that is still being written.
    files = [file for folder in folders if folder.is_dir() for file in folder.glob("[!.]*/options.json")]
    return [SweepFolder(file.parent.absolute()) for file in sorted(set(files))]
