"""Plans a launch before anything is written: requests that cannot fit are refused or reduced."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from datetime import time as datetime_time
from pathlib import Path
from statistics import fmean

from vidcls.errors import UserError
from vidcls.launch.queue import AnyProfile, Queue, open_queue
from vidcls.spec.experiment import Spec
from vidcls.spec.load import load_spec
from vidcls.spec.show import to_yaml
from vidcls.sweep.config.check import check_against_spec, codes_of
from vidcls.sweep.config.file import SweepFile
from vidcls.sweep.fit import Fitted, fit
from vidcls.sweep.storage.folder import RUNS, SweepFolder, SweepOptions
from vidcls.user_code.code import UserCode


@dataclass(frozen=True)
class LaunchPlan:
    """Checked plan of a launch.

    Attributes:
        sweep: Sweep file.
        base: Experiment that the trials vary, with absolute paths.
        options: Options that are frozen with the sweep.
        folder: Folder of the sweep.
        codes: Code of users that trials run, copied into the folder.
        fitted: Resources, workers and trials.
        contenders: Experiments by name if the sweep is a race, which varies no settings of one experiment.
    """

    sweep: SweepFile
    base: Spec
    options: SweepOptions
    folder: SweepFolder
    codes: tuple[UserCode, ...]
    fitted: Fitted
    contenders: Mapping[str, Spec] = field(default_factory=dict)

    @property
    def profile(self) -> AnyProfile:
        """Resources of one task."""
        return self.fitted.profile

    @property
    def num_workers(self) -> int:
        """Number of tasks."""
        return self.fitted.num_workers

    @property
    def num_trials(self) -> int | None:
        """Number of trials; None if only a budget ends the sweep."""
        return self.fitted.num_trials

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: what was reduced, and why."""
        return self.fitted.notes

    @property
    def queue(self) -> Queue:
        """Queue to which the workers are submitted."""
        return open_queue(self.profile)


def plan_launch(
    sweep: SweepFile,
    *,
    overrides: tuple[str, ...],
    options: SweepOptions,
    profile: AnyProfile,
    num_workers: int | None,
) -> LaunchPlan:
    """Check a launch and plan it.

    Args:
        sweep: Sweep file.
        overrides: Fixed settings of every trial, in addition to those in the command of the file.
        options: Options that are frozen with the sweep.
        profile: Resources of one task.
        num_workers: Number of tasks; None for as many as are useful.

    Raises:
        UserError: For a request that cannot fit, and for an option that would have no effect.
        SpecError: If the sweep file does not match its experiment.
    """
    check_against_spec(sweep)
    for text in overrides:
        if (key := text.partition("=")[0]) in sweep.space.names:
            raise UserError(
                f"{text}: has no effect, because {key} is a parameter of the sweep",
                hint=f"change it in {sweep.place(f'parameters.{key}')}",
            )
    folder, base, codes = folder_and_base(sweep, overrides, options)
    fitted = fit(
        sweep,
        experiments=[base],
        options=options,
        folder=folder,
        profile=profile,
        num_workers=num_workers,
    )
    return LaunchPlan(sweep, base, options, folder, codes, fitted)


def folder_and_base(
    sweep: SweepFile, overrides: tuple[str, ...], options: SweepOptions
) -> tuple[SweepFolder, Spec, tuple[UserCode, ...]]:
    """The sweep's folder, its experiment with paths that are valid everywhere, and the users' code of trials.

    Raises:
        SpecError: If the experiment is invalid.
    """
    spec = load_spec(sweep.spec_path, [*sweep.overrides, *overrides], data_file=sweep.data_file).spec
    runs_dir = Path(spec.runs_dir).absolute()
    tracking = {key: value for key in ("project", "entity") if (value := getattr(sweep, key)) is not None}
    base = portable(spec, group=sweep.name, **tracking)
    codes = codes_of(sweep, overrides)  # other code makes another sweep
    identity = "\n".join([to_yaml(base), *(f"{code.target} {code.identity}" for code in codes)])
    return SweepFolder.at(runs_dir, sweep.slug, text=sweep.text, base=identity, options=options), base, codes


def portable(spec: Spec, *, group: str, **tracking: str) -> Spec:
    """Experiment of trials: its paths are valid in every folder, and its runs are one group.

    Args:
        spec: Experiment.
        group: Group of the trials in W&B.
        tracking: Further settings of the tracking section.
    """
    own = {"group": group, "artifact": False, **tracking}
    return spec.model_copy(
        update={
            "data": spec.data.with_root(spec.data.place),
            "model": spec.model.with_files(lambda name: str(Path(name).expanduser().absolute())),
            "store_dir": str(Path(spec.store_dir).absolute()),
            "runs_dir": RUNS,  # below the sweep's folder, wherever that is
            "tracking": spec.tracking.model_copy(update=own),
        }
    )


def seconds_of_trial(folder: SweepFolder) -> float | None:
    """Mean duration of the finished trials of a sweep, in seconds; None before the first has finished."""
    if not folder.options_file.is_file():
        return None
    trials = folder.trials().refresh()
    took = [float(trial.end["seconds"]) for trial in trials if trial.state == "finished" and trial.end]
    return fmean(took) if took else None


def end_of(*, until: str | None, max_hours: float | None) -> float | None:
    """Time at which a sweep ends, in seconds since 1970; None if it has no end time.

    Args:
        until: Time of day (its next occurrence), or an ISO 8601 date and time; local if no zone is given.
        max_hours: Hours from now.

    Raises:
        UserError: If `until` is not a valid time.
    """
    ends = [] if max_hours is None else [time.time() + 3600 * max_hours]
    if until is not None:
        now = datetime.now().astimezone()
        try:
            if ":" in until and "-" not in until:
                at = datetime.combine(now.date(), datetime_time.fromisoformat(until), now.tzinfo)
                at += timedelta(days=at <= now)
            else:
                at = datetime.fromisoformat(until)
            ends.append(at.timestamp())
        except (ValueError, OverflowError):
            raise UserError(f"--until {until}: not a time", hint="write 23:30, or 2026-12-24T18:00") from None
        if ends[-1] <= 0:
            raise UserError(f"--until {until}: too long ago", hint="write 23:30, or 2026-12-24T18:00")
    return min(ends, default=None)
