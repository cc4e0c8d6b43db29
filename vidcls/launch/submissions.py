"""Records of the jobs submitted from one folder, and their state in the queue: no job is submitted twice.

    NNNN.json      written before: the job's name in the queue, its resources, and the cluster
    NNNN.job.json  written after: the job's id, or null if the queue refused or never got the job
    lock           held by the process that submits

Both files are written once and never changed. If the second file is missing, the submission was interrupted
or its answer was not understood: then the job is searched by name before anything else is submitted.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from vidcls.errors import VidclsError
from vidcls.files import create_file
from vidcls.json_files import Count, DamagedError, JsonPath, JsonText, read_json
from vidcls.launch.answers import NoCommandError, QueueSilentError, ask_patiently
from vidcls.launch.job import Job, Task
from vidcls.launch.profiles import profile_of
from vidcls.launch.queue import AnyProfile, Queue, open_queue
from vidcls.launch.script import job_name
from vidcls.locking import lock
from vidcls.spec.show import plain


class _Record(TypedDict):
    name: JsonText
    num_tasks: Count | None
    num_workers: Count
    site: JsonText
    profile: dict[str, Any]
    folder: JsonPath
    inode: Count


class _Ended(TypedDict):
    job: JsonText | None


_RECORD, _END = TypeAdapter(_Record), TypeAdapter(_Ended)


@dataclass(frozen=True)
class Submission:
    """One job that was submitted to a queue, or was about to be.

    Attributes:
        file: File of the record.
        name: Unique name of the job in the queue.
        profile: Resources of the job.
        num_tasks: Number of tasks of the array; None for a plain job.
        num_workers: Number of workers that the sweep should have, including those of earlier jobs.
        site: Cluster or machine to which it was submitted.
        job: Job id; None if the answer of the queue is unknown, or there is no job.
        is_void: Whether the queue refused or never got the job.
        elsewhere: Folder that the tasks work on, if this folder is only a copy of it; else None.
    """

    file: Path
    name: str
    profile: AnyProfile
    num_tasks: int | None
    num_workers: int
    site: str
    job: str | None
    is_void: bool
    elsewhere: str | None

    @property
    def queue(self) -> Queue:
        """Queue to which the job was submitted."""
        return open_queue(self.profile)

    def look(self, *, patiently: bool = False) -> SubmissionState:
        """Ask the queue; with `patiently`, ask repeatedly if an unknown job may still appear."""
        try:
            job = self.job or self._find(patiently)
            tasks = tuple(self.queue.tasks([job])) if job else ()
            if self.elsewhere is not None:
                return SubmissionState(self, job, elsewhere=self.elsewhere if tasks else None)
            # Login nodes of two clusters may share a disk, and the other cluster does not know the job.
            if not tasks and (here := self.queue.site()) != self.site:
                raise QueueSilentError(f"it was submitted on {self.site}, but this machine belongs to {here}")
            return SubmissionState(self, job, tasks)
        except VidclsError as error:  # also if the id is not one of this queue, from a damaged file
            silent = error.message if self.elsewhere is None else None
            return SubmissionState(self, self.job, silent=silent)

    def _find(self, patiently: bool) -> str | None:
        find = partial(self.queue.find, self.name)
        found = ask_patiently(find) if patiently else find()
        if len(found) > 1:
            raise QueueSilentError(f"several jobs have the name {self.name}: {', '.join(found)}")
        return found[0] if found else None


@dataclass(frozen=True)
class SubmissionState:
    """State of a submission in its queue: its living tasks, or that the queue does not answer.

    Attributes:
        submission: Submission that was asked about.
        job: Job id; None if there is no job.
        tasks: Tasks that wait, run or end.
        silent: Reason why the state is unknown, in the words of the queue; None if the queue answered.
        elsewhere: Folder that the tasks work on, if this folder is only a copy of it; else None.
    """

    submission: Submission
    job: str | None
    tasks: tuple[Task, ...] = ()
    silent: str | None = None
    elsewhere: str | None = None

    @property
    def label(self) -> str:
        """Label of the submission for the user."""
        return f"job {self.job}" if self.job else f"job {self.submission.name} (number not known)"


class Submissions:
    """All submissions from one folder, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Submission]:
        """Submissions whose jobs exist or may exist, oldest first.

        Raises:
            VidclsError: If a file is damaged.
        """
        files = sorted(self.folder.glob("[0-9]*.json")) if self.folder.is_dir() else []
        found = [self._read(file) for file in files if file.suffixes == [".json"]]
        return [submission for submission in found if not submission.is_void]

    @contextlib.contextmanager
    def claim(self, *, what: str, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock of this folder for the length of a `with` block, so that no other process submits.

        A lock whose holder has died is taken over.

        Args:
            what: Name of what is submitted, for messages.
            say: Receives a message while a holder on another machine is waited for.

        Raises:
            VidclsError: If a live process holds the lock.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(lock.hold(self.folder / "lock", doing=f"submitting {what}", say=say))
            except VidclsError as error:
                raise VidclsError(
                    f"{error.message} at this moment; this command submitted nothing",
                    hint="give the same command again after it has ended",
                ) from error
            yield

    def look(self) -> list[SubmissionState]:
        """Ask the queues for the state of all submissions, oldest first."""
        return [submission.look() for submission in self.all()]

    def look_and_settle(self) -> list[SubmissionState]:
        """Same as `look`, by the holder of the lock; also record the outcome of interrupted submissions."""
        seen = [submission.look(patiently=True) for submission in self.all()]
        for one in seen:
            if one.submission.job is None and one.silent is None:
                self._end(one.submission.file, one.job)
        return [one for one in seen if one.job or one.silent]

    def submit(self, job: Job, profile: AnyProfile, *, num_workers: int = 1) -> str:
        """Submit a job; the caller must hold the lock and have called `look_and_settle`.

        Returns:
            Job id.

        Raises:
            QueueSilentError: If it is unknown whether the queue took the job.
            VidclsError: If the queue refused the job.
        """
        job, queue = job.with_token(), open_queue(profile)
        # Render the script first: if that fails, nothing is recorded.
        queue.script(job)
        record = {
            "name": job_name(job),
            "num_tasks": job.num_tasks,
            "num_workers": num_workers,
            "site": queue.site(),
            "profile": plain(profile),
            "folder": str(self.folder.resolve()),
            "inode": self.folder.stat().st_ino,
        }
        file = self._begin(record)
        try:
            job_id = queue.submit(job)
        except NoCommandError:
            self._end(file, None)
            raise
        except QueueSilentError as error:
            hint = f"{error.hint}\n  given again, the command looks for this job before it submits anything"
            raise QueueSilentError(error.message, hint=hint) from error
        except VidclsError:
            self._end(file, None)
            raise
        if not self._end(file, job_id):
            self._take_back(queue, job_id)
        return job_id

    def _begin(self, record: dict[str, Any]) -> Path:
        taken = [int(file.name.partition(".")[0]) for file in self.folder.glob("[0-9]*.json")]
        file = self.folder / f"{max(taken, default=0) + 1:04d}.json"
        if not _create(file, record):
            # A network disk may show a new file late, but never lets it be created twice.
            raise VidclsError(
                f"{file}: another process is submitting at this moment; this command submitted nothing",
                hint="give the same command again",
            )
        return file

    def _end(self, file: Path, job: str | None) -> bool:
        """Record the outcome of a submission; False if another process has recorded it as lost."""
        return _create(file.with_suffix(".job.json"), {"job": job})

    def _take_back(self, queue: Queue, job_id: str) -> None:
        queue.cancel([job_id])
        raise VidclsError(
            f"job {job_id} was cancelled: this process was suspended, and another process submitted a job "
            "instead"
        )

    def _read(self, file: Path) -> Submission:
        end = file.with_suffix(".job.json")
        hint = f"restore the file; or, only if its job has ended: rm {file}"
        record = read_json(file, _RECORD, hint=hint)
        try:
            job, is_known = read_json(end, _END, hint=hint)["job"], True
        except FileNotFoundError:
            job, is_known = None, False
        try:
            profile = profile_of(record["profile"])
        except VidclsError as error:
            raise DamagedError(f"{file}: damaged: {error.message}", hint=hint) from error
        # Two machines may see one folder under different paths, and a moved folder keeps its inode.
        is_here = record["folder"] == str(self.folder.resolve())
        is_here = is_here or record["inode"] == self.folder.stat().st_ino
        return Submission(
            file=file,
            name=record["name"],
            profile=profile,
            num_tasks=record["num_tasks"],
            num_workers=record["num_workers"],
            site=record["site"],
            job=job,
            is_void=job is None and is_known,
            elsewhere=None if is_here else record["folder"],
        )


def _create(path: Path, content: dict[str, Any]) -> bool:
    """Create a file, whole and on disk; False if another process created it first."""
    # If the answer of a network disk is lost, the token shows which process wrote the file.
    token = secrets.token_hex(8)
    return create_file(path, json.dumps({**content, "token": token}, indent=1).encode())
