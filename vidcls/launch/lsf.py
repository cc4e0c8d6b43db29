"""LSF queue: https://www.ibm.com/docs/en/spectrum-lsf. LSF counts array elements from 1, vidcls from 0."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from vidcls.errors import UserError, VidclsError
from vidcls.launch.answers import arrival, lines, not_understood, words
from vidcls.launch.commands import run
from vidcls.launch.credentials import refuse_values
from vidcls.launch.job import Job, Task
from vidcls.launch.profile import QueuedProfile
from vidcls.launch.script import job_name, log_pattern, preparation, quote_command
from vidcls.launch.values import Word

_STATES: dict[str, Literal["pending", "running", "ending"]] = {
    "PEND": "pending",
    "PSUSP": "pending",
    "WAIT": "pending",
    "PROV": "pending",
    "RUN": "running",
    "USUSP": "running",
    "SSUSP": "running",
    "UNKWN": "running",
    "ZOMBI": "ending",
}
_ENDED = {"DONE", "EXIT"}
# 75: saved, to be continued. 138 and 140: ended by USR1 or USR2 before the command installed its handlers.
_REQUEUE = '-Q "75 138 140"'
_COLUMNS = "jobid jobindex stat exec_host pend_reason"
_REST = r"([0-9]+)\|([A-Z]+)\|([^|]*)\|(.*)"


class LsfProfile(QueuedProfile):
    """Profile of LSF: https://www.ibm.com/docs/en/spectrum-lsf."""

    absent: ClassVar[dict[str, str]] = {
        "partition": "partitions are for SLURM; set queue_name",
        "qos": "a quality of service is for SLURM; LSF has queues, set queue_name",
    }

    queue: Literal["lsf"]
    queue_name: Word | None = None
    app: Word | None = None
    """Application profile; some sites use it to select a MIG slice."""
    gpu_mode: Literal["exclusive", "shared"] | None = None
    """Whether several processes may use a GPU; exclusive unless several trials share one GPU."""

    @model_validator(mode="after")
    def _check_lsf(self) -> Self:
        if self.gpus.mig and not re.fullmatch(r"[1-9](/[1-9])?", self.gpus.mig):
            raise ValueError(
                "gpus.mig: with LSF, write a number of slices, such as 2 or 2/1; named slices are selected "
                "by app"
            )
        if self.gpu_mode and self.gpus.count == 0:
            raise ValueError("gpu_mode: has no effect without GPUs; set gpus.count")
        if self.notify and "fail" in self.notify.on:
            raise ValueError("notify.on: LSF cannot send mails only for failed jobs; write end")
        return self

    def packed(self, per_gpu: int) -> Self:
        """Profile with GPUs that several processes may use."""
        if per_gpu > 1 and self.gpu_mode == "exclusive":
            raise UserError(
                f"{per_gpu} trials per GPU cannot run with gpu_mode: exclusive",
                hint="remove gpu_mode from the profile, or write gpu_mode: shared",
            )
        return super().packed(per_gpu).model_copy(update={"gpu_mode": "shared"} if per_gpu > 1 else {})


@dataclass(frozen=True)
class LsfQueue:
    """Jobs of one profile under LSF."""

    profile: LsfProfile

    @staticmethod
    def is_here() -> bool:
        """Whether this machine can submit jobs to LSF."""
        return shutil.which("bsub") is not None

    def script(self, job: Job) -> str:
        """Batch script of a job."""
        name = '"$LSB_JOBID"' if job.num_tasks is None else '"${LSB_JOBID}_$((LSB_JOBINDEX - 1))"'
        directives = "\n".join(self._directives(job))
        prepared = preparation(job, self.profile, name=name)
        # LSF signals all processes of a job, so the command replaces the shell.
        return f"#!/bin/bash\n{directives}\n\n{prepared}\n\nexec -- {quote_command(job.command)}\n"

    def _directives(self, job: Job) -> list[str]:
        asked, name, stem = self.profile, job_name(job), "%J"
        if job.num_tasks is not None:
            stem = "%J_%I"
            limit = f"%{asked.throttle}" if asked.throttle else ""
            name = f"{name}[1-{job.num_tasks}]{limit}"
        options = [f'-J "{name}"']
        named = {
            "-q": asked.queue_name,
            "-app": asked.app,
            "-P": asked.account,
            "-U": asked.reservation,
        }
        options += [f"{option} {value}" for option, value in named.items() if value is not None]
        minutes = -(-asked.time_s // 60)
        options += [f"-W {minutes // 60}:{minutes % 60:02}", f"-n {asked.cpus}", *self._memory()]
        if asked.gpus.count:
            options.append(f'-gpu "{self._gpus()}"')
        # LSF takes the warning time in minutes; round up.
        options += ["-wa USR1", f"-wt {-(-asked.warn_s // 60)}"]
        options += ["-r", _REQUEUE] if asked.requeue else ["-rn"]
        options.append(f"-o {log_pattern(job, stem)}")
        if asked.notify:
            moments = {"begin": "-B", "end": "-N"}
            options += [f"-u {asked.notify.email}", *(moments[moment] for moment in asked.notify.on)]
        return [f"#BSUB {option}" if not option.startswith("#") else option for option in options]

    def _memory(self) -> list[str]:
        asked = self.profile
        if asked.memory_mb is None:
            return ['-R "span[hosts=1]"']
        each = -(-asked.memory_mb // asked.cpus)
        return [
            f"# Memory counts per core: {asked.cpus} x {each} MB.",
            f'-R "span[hosts=1] rusage[mem={each}MB]"',
        ]

    def _gpus(self) -> str:
        asked = self.profile.gpus
        parts = [
            f"num={asked.count}",
            "mode=shared" if self.profile.gpu_mode == "shared" else "mode=exclusive_process",
        ]
        if asked.type:
            parts.append(f"gmodel={asked.type}")
        if asked.mig:
            parts.append(f"mig={asked.mig}")
        return ":".join(parts)

    def rehearse(self, job: Job) -> str:
        """Output of `bqueues` for the queue: LSF checks a job only when it is submitted."""
        refuse_values(self.script(job))
        named = [self.profile.queue_name] if self.profile.queue_name else []
        answer = run("bqueues", *named)
        if answer.returncode != 0:
            raise VidclsError(f"bqueues: {words(answer)}", hint="`bqueues` lists the queues")
        rows = [line.split() for line in lines(answer.stdout)]
        known = ("Open:", "Closed:")
        states = {row[0]: row[2] for row in rows if len(row) > 2 and row[2].startswith(known)}
        if named and not states.get(named[0], "").startswith("Open"):
            raise VidclsError(
                f"bqueues: {named[0]} takes no jobs: {words(answer)}", hint="`bqueues` lists other queues"
            )
        return ", ".join(f"{name} is {state}" for name, state in states.items())

    def submit(self, job: Job) -> str:
        """Submit the job and return its id."""
        job = job.with_token()
        refuse_values(script := self.script(job))
        job.log_dir.mkdir(parents=True, exist_ok=True)
        name = job_name(job)
        return arrival(
            "bsub",
            lambda: run("bsub", script=script, cwd=job.folder),
            lambda: self.find(name),
            taken=re.compile(r".*Job <[0-9]+> is submitted to .*"),
            look=f"bjobs -a -J {name}",
            limits="bqueues",
        )

    def find(self, name: str) -> list[str]:
        """Ids of the jobs of that name that the queue still knows."""
        answer = run("bjobs", "-a", "-J", name, "-o", "jobid job_name delimiter='|'")
        rows = re.compile(rf"(?<![0-9])([0-9]+)\|{re.escape(name)}(?:\[[0-9]+\])?(?![\w.+-])")
        said = lines(answer.stdout) + lines(answer.stderr)
        found = {match[1] for line in said if (match := rows.search(line))}
        none = (f"Job <{name}> is not found", "No job found", "No unfinished job found")
        if not found and not any(text in line for text in none for line in said):
            raise not_understood("bjobs", answer)
        return sorted(found, key=int)

    def task_names(self, job_id: str, num_tasks: int | None) -> list[str]:
        """Value of `VIDCLS_JOB` in each task."""
        return [job_id] if num_tasks is None else [f"{job_id}_{index}" for index in range(num_tasks)]

    def log_file(self, log_dir: Path, task_name: str) -> Path:
        """Path of the log of a task; LSF names it by the array element, from 1."""
        job, _, index = task_name.partition("_")
        return log_dir / (f"{job}_{int(index) + 1}.log" if index else f"{job}.log")

    def next_steps(self, job_id: str) -> list[str]:
        """Commands to inspect a job and to end it."""
        return [f"bjobs {job_id}", f"bkill {job_id}"]

    def tasks(self, jobs: Sequence[str]) -> list[Task]:
        """Tasks that wait, run, or end."""
        if not jobs:
            return []
        answer = run("bjobs", "-o", f"{_COLUMNS} delimiter='|'", *jobs)
        # A row begins with the job id; digits before the id would belong to the id of another job.
        begun = rf"(?<![0-9|.,])({'|'.join(jobs)})\|"
        said = lines(answer.stdout)
        found = [re.search(begun + _REST, line) for line in said if re.search(begun, line)]
        rows = [match.groups() for match in found if match]
        forgotten = [job for job in jobs for line in lines(answer.stderr) + said if _not_found(job) in line]
        # An answer has a whole row or a "not found" for every job; an error code only means that one is gone.
        is_answer = None not in found and {*(row[0] for row in rows), *forgotten}.issuperset(jobs)
        if not is_answer or (answer.returncode != 0 and not forgotten):
            raise not_understood("bjobs", answer)
        return [_task(*row) for row in rows if row[2] not in _ENDED]

    def warn(self, jobs: Sequence[str]) -> None:
        """Ask running tasks to save and exit with code 75."""
        running = [task for task in self.tasks(jobs) if task.state == "running"]
        names = [task.job if task.index is None else f"{task.job}[{task.index + 1}]" for task in running]
        self._bkill("-s", "USR1", *names) if names else None

    def cancel(self, jobs: Sequence[str]) -> None:
        """End waiting and running tasks at once: INT, TERM, then KILL."""
        self._bkill(*jobs) if jobs else None

    def largest_array(self) -> int | None:
        """Maximum number of elements of an array, if the site reports it."""
        if shutil.which("bparams") is None:
            return None
        found = re.search(r"MAX_JOB_ARRAY_SIZE\s*=\s*([0-9]+)", run("bparams", "-a").stdout)
        return int(found[1]) if found else None

    def site(self) -> str:
        """Name of the cluster."""
        answer = run("lsid")
        found = re.search(r"My cluster name is (\S+)", "\n".join(lines(answer.stdout)))
        if answer.returncode != 0 or found is None:
            raise not_understood("lsid", answer)
        return found[1]

    def _bkill(self, *arguments: str) -> None:
        answer = run("bkill", *arguments)
        ended = ("already finished", "is not found", "No matching job")
        complaints = [line for line in lines(answer.stderr) if not any(text in line for text in ended)]
        if answer.returncode != 0 and (complaints or not answer.stderr.strip()):
            raise VidclsError(
                f"bkill: {' '.join(complaints) or words(answer)}",
                hint=f"try again: bkill {' '.join(arguments)}",
            )


def _not_found(job: str) -> str:
    return f"Job <{job}> is not found"


def _task(job: str, index: str, state: str, host: str, reason: str) -> Task:
    number = int(index) - 1 if int(index) > 0 else None
    name = job if number is None else f"{job}_{number}"
    said = "" if reason in {"-", ""} else reason
    # With several cores of a host, LSF prints 4*host.
    place = "" if host in {"-", ""} else host.partition(":")[0].rpartition("*")[2]
    cancel = f"bkill {job}" if number is None else f'bkill "{job}[{index}]"'
    # A job with an unknown state exists, so it counts as running.
    return Task(job, number, name, _STATES.get(state, "running"), said, place, cancel)
