"""Profile: the resources that a job requests from its queue; one YAML file per cluster (`slurm/*.yaml`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vidcls.errors import UserError
from vidcls.launch.values import Environment, FullPath, Memory, SetUp, Time, Word, megabytes, seconds
from vidcls.spec.base import NonNegativeInt, PositiveInt, Section


class Gpus(Section):
    """GPUs of a job."""

    count: NonNegativeInt = 1
    """Number of GPUs; 0 for none."""
    type: Word | None = None
    """GPU model as the cluster names it: the GRES type of SLURM, `gmodel` of LSF."""
    mig: Word | None = None
    """MIG slice: a SLURM profile such as 1g.10gb, LSF counts such as 2/1 (some sites use `app`)."""


class Notify(Section):
    """E-mail notification about a job."""

    email: Annotated[str, Field(pattern=r"^[\w.+-]+@[\w.-]+$")]
    """Address that receives the mail."""
    on: tuple[Literal["begin", "end", "fail"], ...] = ("end",)
    """Events that send a mail."""


class Profile(Section):
    """Settings that every queue takes."""

    absent: ClassVar[dict[str, str]] = {}
    """Keys of other queues that have no effect in this one, each with the reason."""

    setup: tuple[SetUp, ...] = ()
    """Lines of shell before the command, such as `module load`; they are copied without quoting."""
    venv: FullPath | None = None
    """Virtual environment to activate; if only `scratch` is set, `venv` below it."""
    env: Environment = Field(default_factory=dict)
    """Environment variables of the command."""
    scratch: FullPath | None = None
    """Folder for large files. Jobs get its path as SCRATCH, and `vidcls hpc` builds the venv there."""

    @property
    def venv_dir(self) -> Path | None:
        """Virtual environment that jobs activate; None for none."""
        if self.venv is None:
            return Path(self.scratch) / "venv" if self.scratch else None
        return Path(self.venv)

    @property
    def python(self) -> str:
        """Python interpreter of jobs: that of their virtual environment, otherwise the current one."""
        return str(self.venv_dir / "bin" / "python") if self.venv_dir else sys.executable

    @property
    def time_s(self) -> int | None:
        """Time limit of a job in seconds; None for no limit."""
        return None

    @property
    def memory_mb(self) -> int | None:
        """Memory per job, not per core, in MB of 2**20 bytes; None if the queue decides."""
        return None

    @property
    def num_gpus(self) -> int | None:
        """Number of GPUs of a job; None for all GPUs of the machine."""
        return None

    def packed(self, per_gpu: int) -> Self:
        """Profile for jobs that run several processes on one GPU.

        Raises:
            UserError: If the profile requests no GPU, or one in exclusive mode.
        """
        if per_gpu > 1 and self.num_gpus == 0:
            raise UserError(
                f"{per_gpu} trials per GPU: the profile requests no GPU", hint="set gpus.count in the profile"
            )
        return self


class QueuedProfile(Profile):
    """Settings that SLURM and LSF share."""

    time: Time
    """Time limit: HH:MM:SS, D-HH:MM:SS or minutes."""
    account: Word | None = None
    """Account that is charged: the account of SLURM, the project of LSF."""
    gpus: Gpus = Field(default_factory=Gpus)
    cpus: PositiveInt = 4
    """Number of CPU cores of a job."""
    memory: Memory | None = None
    """Memory per job, such as 16GB; converted if the queue counts per core."""
    throttle: PositiveInt | None = None
    """Maximum number of tasks of an array that run at the same time."""
    requeue: bool = True
    """Requeue a job that saved before its time limit, or whose node failed."""
    warn_s: Annotated[PositiveInt, Field(le=65535)] = 120
    """Seconds before the time limit at which the job gets a warning signal."""
    notify: Notify | None = None
    reservation: Word | None = None
    """Name of a reservation of nodes."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warn_s >= seconds(self.time):
            raise ValueError(f"warn_s: {self.warn_s} s is not shorter than the time limit of {self.time}")
        if self.gpus.count == 0 and (self.gpus.type or self.gpus.mig):
            raise ValueError("gpus.count: with 0 GPUs, type and mig have no effect")
        return self

    @property
    def time_s(self) -> int:
        """Time limit of a job in seconds."""
        return seconds(self.time)

    @property
    def memory_mb(self) -> int | None:
        """Memory of a job in MB of 2**20 bytes; None if the queue decides."""
        return megabytes(self.memory) if self.memory else None

    @property
    def num_gpus(self) -> int:
        """Number of GPUs of a job."""
        return self.gpus.count
