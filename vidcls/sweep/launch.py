"""A checked plan becomes a folder and a job: submit and exit. The folder is the whole state of the sweep."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import vidcls
from vidcls.files import write_text
from vidcls.launch.job import Job
from vidcls.launch.local import num_gpus
from vidcls.launch.profile import AnyProfile, QueuedProfile
from vidcls.launch.queue import open_queue
from vidcls.spec.show import plain, to_yaml
from vidcls.sweep.folder import SweepFolder
from vidcls.sweep.plan import Plan


def job_of(plan: Plan) -> Job:
    """The workers of a plan as an array job."""
    return worker_job(plan.folder, plan.profile, name=plan.sweep.name, num_workers=plan.num_workers)


def worker_job(folder: SweepFolder, profile: AnyProfile, *, name: str, num_workers: int) -> Job:
    """An array of workers on a sweep that exists."""
    command = [profile.python, "-m", "vidcls", "sweep", "work", str(folder.path)]
    if isinstance(profile, QueuedProfile):
        cpus, gpus = profile.cpus, profile.num_gpus
    else:
        cpus, gpus = max(1, len(os.sched_getaffinity(0)) // num_workers), min(1, num_gpus())
    command += ["--cpus", str(cpus), "--gpus", str(gpus)]
    path = [str(folder.code_dir), *filter(None, [os.environ.get("PYTHONPATH")])]
    return Job(
        name=name,
        command=tuple(command),
        folder=folder.path,
        log_dir=folder.log_dir,
        num_tasks=num_workers,
        env={"PYTHONPATH": os.pathsep.join(path)},
    )


def launch(plan: Plan) -> str:
    """Freeze the sweep and submit its workers. One that is frozen is resumed instead, see `actions`.

    Returns:
        The queue's id of the job.

    Raises:
        VidclsError: If the queue refuses it; the folder stays, and can be resumed.
    """
    folder = plan.folder
    freeze(plan)
    num = plan.num_workers
    return submit(folder, plan.profile, name=plan.sweep.name, num_tasks=num, num_workers=num)


def submit(folder: SweepFolder, profile: AnyProfile, *, name: str, num_tasks: int, num_workers: int) -> str:
    """Submit tasks of a sweep that exists, and remember the job and how many workers there are to be."""
    folder.log_dir.mkdir(parents=True, exist_ok=True)
    job = open_queue(profile).submit(worker_job(folder, profile, name=name, num_workers=num_tasks))
    content = {"job": job, "num_tasks": num_tasks, "num_workers": num_workers, "profile": plain(profile)}
    folder.add_job(content)
    return job


def freeze(plan: Plan) -> None:
    """Write what workers read. The options come last: their presence makes the folder a sweep."""
    folder = plan.folder
    folder.path.mkdir(parents=True, exist_ok=True)
    write_text(folder.sweep_file, plan.sweep.text)
    write_text(folder.base_file, to_yaml(plan.base))
    copy_package(folder.code_dir)
    folder.freeze(plan.options)


def copy_package(code_dir: Path) -> None:
    """Workers run this copy, so that editing the code never changes what is queued."""
    package = Path(vidcls.__file__).parent
    aside = code_dir.with_name(f".code.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(package, aside / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(code_dir, ignore_errors=True)
    aside.rename(code_dir)
