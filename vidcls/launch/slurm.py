"""SLURM queue: https://slurm.schedmd.com."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vidcls.errors import VidclsError
from vidcls.launch.answers import arrival, lines, not_understood, words
from vidcls.launch.commands import run
from vidcls.launch.credentials import refuse_values
from vidcls.launch.job import Job, Task
from vidcls.launch.profile import QueuedProfile
from vidcls.launch.script import job_name, log_pattern, preparation, quote_command
from vidcls.launch.values import Word

_MAIL = {"begin": "BEGIN", "end": "END", "fail": "FAIL"}
_ENDING = {"COMPLETING", "SIGNALING", "STAGE_OUT"}
# States of tasks whose processes exist.
_RUNNING = {"RUNNING", "SUSPENDED", "STOPPED", "RESIZING"}
_GONE = "Invalid job id"

# The only part specific to SLURM besides the directives: SLURM warns only the batch shell.
_HAND_ON = """\
# SLURM warns this shell only, so it waits beside the command and hands signals on.
child= asked=
hand_on() { asked=$1; if [ -n "$child" ]; then kill -s "$1" "$child" 2>/dev/null; fi; }
trap 'hand_on USR1' USR1
trap 'hand_on USR2' USR2
trap 'hand_on TERM' TERM INT"""
_WAIT = """\
child=$!
if [ -n "$asked" ]; then kill -s "$asked" "$child"; fi
# A signal ends `wait` early; the exit code is asked for once the command is gone.
until wait "$child"; ! kill -0 "$child" 2>/dev/null; do :; done
wait "$child"; code=$?
# bash reads -1 when signal and end coincide. 138 and 140: warned by USR1 or USR2 before the command listened.
case $code:$asked in -1:TERM) code=143 ;; -1:*|138:*|140:*) code=75 ;; esac"""
_REQUEUE = """
# 75: saved, and wants to go on.
if [ "$code" -eq 75 ]; then child=; scontrol requeue "$SLURM_JOB_ID"; fi"""


class SlurmProfile(QueuedProfile):
    """Profile of SLURM: https://slurm.schedmd.com/sbatch.html."""

    absent: ClassVar[dict[str, str]] = {
        "queue_name": "SLURM has partitions; set partition",
        "app": "application profiles are for LSF; set gpus.mig for a slice of a GPU",
        "gpu_mode": "with SLURM, all processes of a job share its GPUs",
    }

    queue: Literal["slurm"]
    partition: Word | None = None
    qos: Word | None = None


@dataclass(frozen=True)
class SlurmQueue:
    """Jobs of one profile under SLURM."""

    profile: SlurmProfile

    @staticmethod
    def is_here() -> bool:
        """Whether this machine belongs to a SLURM cluster; the SLURM commands alone are not enough.

        Raises:
            VidclsError: If it does, but the queue does not answer.
        """
        if shutil.which("sbatch") is None:
            return False
        answer = run("sinfo", "--noheader")
        if answer.returncode != 0 and "configuration source" not in answer.stderr:
            hint = "try later; --cluster local uses only this machine"
            raise VidclsError(f"sinfo: {words(answer)}", hint=hint)
        return answer.returncode == 0

    def script(self, job: Job) -> str:
        """Batch script of a job."""
        is_array = job.num_tasks is not None
        name = '"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"' if is_array else '"$SLURM_JOB_ID"'
        directives = "\n".join(f"#SBATCH {option}" for option in self._options(job))
        parts = [
            f"#!/bin/bash\n{directives}",
            _HAND_ON,
            preparation(job, self.profile, name=name),
            f"{quote_command(job.command)} &\n{_WAIT}{_REQUEUE * self.profile.requeue}",
        ]
        return "\n\n".join(parts) + "\nexit $code\n"

    def _options(self, job: Job) -> list[str]:
        asked, stem = self.profile, "%j"
        options = [f"--job-name={job_name(job)}"]
        if job.num_tasks is not None:
            stem = "%A_%a"
            limit = f"%{asked.throttle}" if asked.throttle else ""
            options.append(f"--array=0-{job.num_tasks - 1}{limit}")
        options += self._named()
        options += [
            f"--time={_time(asked.time_s)}",
            "--nodes=1",
            "--ntasks=1",
            f"--cpus-per-task={asked.cpus}",
        ]
        if asked.memory_mb is not None:
            options.append(f"--mem={asked.memory_mb}M")
        if asked.gpus.count:
            # Name of a slice in NVIDIA's plugin: a100_1g.10gb.
            kind = "_".join(filter(None, (asked.gpus.type, asked.gpus.mig)))
            options.append(f"--gres=gpu:{kind + ':' if kind else ''}{asked.gpus.count}")
        options.append(f"--signal=B:USR1@{asked.warn_s}")
        options.append("--requeue" if asked.requeue else "--no-requeue")
        options += ["--open-mode=append", f"--output={log_pattern(job, stem)}"]
        if asked.notify:
            kinds = ",".join(_MAIL[moment] for moment in asked.notify.on)
            options += [f"--mail-user={asked.notify.email}", f"--mail-type={kinds}"]
        return options

    def _named(self) -> list[str]:
        named = {key: getattr(self.profile, key) for key in ("partition", "account", "qos", "reservation")}
        return [f"--{option}={value}" for option, value in named.items() if value is not None]

    def rehearse(self, job: Job) -> str:
        """Answer of `sbatch --test-only`, which checks partition, account, limits and resources."""
        refuse_values(script := self.script(job))
        answer = run("sbatch", "--test-only", script=script)
        if answer.returncode != 0:
            hint = "`sinfo` lists partitions and limits; --dry-run shows the script"
            raise VidclsError(f"sbatch would refuse the job: {words(answer)}", hint=hint)
        said = [line for line in lines(answer.stderr + "\n" + answer.stdout) if "to start at" in line]
        return said[-1].removeprefix("sbatch: ") if said else words(answer).removeprefix("sbatch: ")

    def submit(self, job: Job) -> str:
        """Submit the job and return its id."""
        job = job.with_token()
        refuse_values(script := self.script(job))
        job.log_dir.mkdir(parents=True, exist_ok=True)
        name = job_name(job)
        # Command line options override variables such as SBATCH_ACCOUNT, which override the script.
        command = ["sbatch", "--parsable", f"--job-name={name}", *self._named()]
        return arrival(
            "sbatch",
            lambda: run(*command, script=script, cwd=job.folder),
            lambda: self.find(name),
            taken=re.compile(r"(?:Submitted batch job )?[0-9]+(?:;\S+)?"),
            look=f"squeue --name={name}",
            limits="sinfo",
        )

    def find(self, name: str) -> list[str]:
        """Ids of the jobs of that name that the queue still knows."""
        rows = _ask("--states=all", f"--name={name}", columns=_FIND)
        return sorted({row["job"] for row in rows if row["name"] == name}, key=int)

    def task_names(self, job_id: str, num_tasks: int | None) -> list[str]:
        """Value of `VIDCLS_JOB` in each task."""
        return [job_id] if num_tasks is None else [f"{job_id}_{index}" for index in range(num_tasks)]

    def log_file(self, log_dir: Path, task_name: str) -> Path:
        """Path of the log of a task."""
        return log_dir / f"{task_name}.log"

    def next_steps(self, job_id: str) -> list[str]:
        """Commands to inspect a job and to end it."""
        return [f"squeue --jobs={job_id}", f"scancel {job_id}"]

    def tasks(self, jobs: Sequence[str]) -> list[Task]:
        """Tasks that wait, run, or end."""
        if not jobs:
            return []
        rows = _ask("--array", f"--jobs={','.join(jobs)}", columns=_TASKS)
        found = [_task(**row) for row in rows if row["job"] in jobs]
        return sorted(found, key=lambda task: (task.job, task.index or 0))

    def warn(self, jobs: Sequence[str]) -> None:
        """Ask running tasks to save and exit with code 75."""
        names = [task.name for task in self.tasks(jobs) if task.state == "running"]
        self._scancel("--batch", "--signal=USR1", *names) if names else None

    def cancel(self, jobs: Sequence[str]) -> None:
        """End waiting and running tasks at once: TERM, then KILL."""
        self._scancel(*jobs) if jobs else None

    def largest_array(self) -> int | None:
        """Maximum number of tasks of an array: `MaxArraySize` is one more than the largest index, from 0."""
        found = re.search(r"MaxArraySize\s*=\s*([0-9]+)", run("scontrol", "show", "config").stdout)
        return int(found[1]) if found else None

    def site(self) -> str:
        """Name of the cluster."""
        answer = run("scontrol", "show", "config")
        found = re.search(r"ClusterName\s*=\s*(\S+)", "\n".join(lines(answer.stdout)))
        if answer.returncode != 0 or found is None:
            raise not_understood("scontrol", answer)
        return found[1]

    def _scancel(self, *arguments: str) -> None:
        answer = run("scancel", *arguments)
        ended = (_GONE, "already completing or completed", "Job is pending execution")
        own = [line for line in lines(answer.stderr) if "scancel: " in line]
        complaints = [line for line in own if not any(text in line for text in ended)]
        if answer.returncode != 0 and (complaints or not own):
            raise VidclsError(
                f"scancel: {' '.join(complaints) or words(answer)}",
                hint=f"try again: scancel {' '.join(arguments)}",
            )


@dataclass(frozen=True)
class _Columns:
    """Columns that squeue prints for a job: their format, the header line, and the pattern of a row."""

    format: str
    head: str
    row: re.Pattern[str]


_TASKS = _Columns(
    "%F|%K|%T|%N|%r",
    "ARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON",
    re.compile(
        r"(?P<job>[0-9]+)\|(?P<index>[0-9]+|N/A)\|(?P<state>[A-Z_]+)\|(?P<host>[^|\s]*)\|(?P<reason>.*)"
    ),
)
_FIND = _Columns("%F|%j|", "ARRAY_JOB_ID|NAME|", re.compile(r"(?P<job>[0-9]+)\|(?P<name>[^|]*)\|"))


def _ask(*filters: str, columns: _Columns) -> list[dict[str, str]]:
    """Rows of the answer of squeue; a random mark, drawn for each call, begins the header and every row.

    Raises:
        QueueSilentError: If there is no valid answer: no header, or an incomplete row.
    """
    mark = f"vidcls-{secrets.token_hex(4)}|"
    # Include the other clusters of a federation: the id may belong to one of them.
    answer = run("squeue", "--federation", *filters, f"--format={mark}{columns.format}")
    if answer.returncode != 0 and f"slurm_load_jobs error: {_GONE} specified" in lines(answer.stderr):
        return []  # a single job was asked for, and SLURM has forgotten it
    rows = [line[line.index(mark) + len(mark) :] for line in lines(answer.stdout) if mark in line]
    if answer.returncode != 0 or not rows or not rows[0].startswith(columns.head):
        raise not_understood("squeue", answer)
    found = [columns.row.match(row) for row in rows[1:]]
    if None in found:
        raise not_understood("squeue", answer)
    return [match.groupdict() for match in found if match]


def _time(time_s: int) -> str:
    minutes, seconds = divmod(time_s, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def _task(*, job: str, index: str, state: str, host: str, reason: str) -> Task:
    number = None if index == "N/A" else int(index)
    kind: Literal["pending", "running", "ending"] = (
        "running" if state in _RUNNING else "ending" if state in _ENDING else "pending"
    )
    name = job if number is None else f"{job}_{number}"
    said = "" if reason == "None" else reason
    why = said if state in {"RUNNING", "PENDING"} else said or state.lower()
    return Task(job, number, name, kind, why, host, f"scancel {name}")
