"""Turns a checked plan into a folder: written elsewhere, published in one step, and never changed later."""

from __future__ import annotations

from vidcls.errors import UserError
from vidcls.files import publish, write_text
from vidcls.launch.frozen import beside, copy_package
from vidcls.launch.job import Job
from vidcls.spec.show import to_yaml
from vidcls.sweep.plan import LaunchPlan
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.jobs import worker_job


def job_of(plan: LaunchPlan) -> Job:
    """Array job with the workers of a plan."""
    return worker_job(plan.folder, plan.profile, name=plan.sweep.name, num_workers=plan.num_workers)


def freeze(plan: LaunchPlan) -> bool:
    """Publish the files that workers read; if one sweep is launched several times, the first launch counts.

    Returns:
        Whether this launch was the first.

    Raises:
        UserError: If the name of the sweep's folder is used by something else.
    """
    if plan.folder.options_file.is_file():
        return False
    with beside(plan.folder.path) as aside:
        folder = SweepFolder(aside)
        write_text(folder.sweep_file, plan.sweep.text)
        write_text(folder.base_file, to_yaml(plan.base))
        for name, spec in plan.contenders.items():
            write_text(folder.contender_file(name), to_yaml(spec))
        copy_package(folder.code_dir, plan.codes)
        folder.freeze(plan.options)
        ours = aside.stat().st_ino
        publish(aside, plan.folder.path)
    if not plan.folder.options_file.is_file():
        raise UserError(f"{plan.folder.path}: exists, but is not a sweep", hint="move this folder away")
    return plan.folder.path.stat().st_ino == ours
