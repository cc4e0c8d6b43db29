"""Batch systems of clusters: the names of their commands, and of the environment variables they use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchSystem:
    """Batch system: https://slurm.schedmd.com, https://www.ibm.com/docs/en/spectrum-lsf.

    Attributes:
        name: Name for messages.
        submit: Command that submits a job; a machine without it cannot use this system.
        cancel: Command that ends a job, given its id.
        job_variable: Variable with the id of the job, in the environment of its processes.
        job_prefixes: Prefixes of the variables that describe a job; they do not hold for another job.
        preference_prefixes: Prefixes of variables with user preferences (filters, formats), which could hide
            jobs or override lines of a script.
        kept: Variables with such a prefix that say which cluster, account or partition is meant.
    """

    name: str
    submit: str
    cancel: str
    job_variable: str
    job_prefixes: tuple[str, ...]
    preference_prefixes: tuple[str, ...] = ()
    kept: frozenset[str] = frozenset()


BATCH_SYSTEMS = {
    "slurm": BatchSystem(
        name="SLURM",
        submit="sbatch",
        cancel="scancel",
        job_variable="SLURM_JOB_ID",
        job_prefixes=("SLURM_",),
        preference_prefixes=("SQUEUE_", "SBATCH_", "SCANCEL_", "SINFO_"),
        kept=frozenset(
            {
                "SLURM_CONF",
                "SLURM_CLUSTERS",
                "SBATCH_ACCOUNT",
                "SBATCH_PARTITION",
                "SBATCH_QOS",
                "SBATCH_RESERVATION",
            }
        ),
    ),
    "lsf": BatchSystem(
        name="LSF", submit="bsub", cancel="bkill", job_variable="LSB_JOBID", job_prefixes=("LSB_",)
    ),
}
"""Batch systems by the `queue` of a profile, in the order in which a machine is searched for them."""
