"""What was handed to a queue from one folder, and what the queue says of it: nothing is submitted twice.

    NNNN.json      before: the name that the queue will know the job by, what it asks for, to which cluster
    NNNN.job.json  after: the job's id, or null where the queue refused it or never got it
    lock           held by the process that submits

Both files are made once and never changed. A submission without the second one was cut off, or its answer was
not understood: its job is looked for by name before anything else is submitted.
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
from vidcls.launch.profile import AnyProfile
from vidcls.launch.profiles import profile_of
from vidcls.launch.queue import Queue, open_queue
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
    """One job that was handed to a queue, or was about to be.

    Attributes:
        file: Where it is written down.
        name: What the queue knows the job by; no other job has it.
        profile: What it asks for.
        num_tasks: Tasks of the array; None for a plain job.
        num_workers: How many workers of its sweep there were to be, with those of jobs before.
        site: The cluster, or the machine, that it was submitted to.
        job: The queue's id; None where its answer is not known, or there is no job.
        is_void: Whether the queue refused it or never got it.
        elsewhere: The folder that its tasks work on where that is another one, of which this is a copy.
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
        """Where it went."""
        return open_queue(self.profile)

    def look(self, *, patiently: bool = False) -> SubmissionState:
        """Ask the queue; patiently where a job of which nothing is known may be on its way."""
        try:
            job = self.job or self._find(patiently)
            tasks = tuple(self.queue.tasks([job])) if job else ()
            if self.elsewhere is not None:
                return SubmissionState(self, job, elsewhere=self.elsewhere if tasks else None)
            # Login nodes of two clusters may share a disk, and the other one never heard of the job.
            if not tasks and (here := self.queue.site()) != self.site:
                raise QueueSilentError(f"it was submitted to {self.site}, and this is {here}")
            return SubmissionState(self, job, tasks)
        except VidclsError as error:  # also an id that is none of this queue's: a damaged file
            silent = error.message if self.elsewhere is None else None
            return SubmissionState(self, self.job, silent=silent)

    def _find(self, patiently: bool) -> str | None:
        find = partial(self.queue.find, self.name)
        found = ask_patiently(find) if patiently else find()
        if len(found) > 1:
            raise QueueSilentError(f"{self.name} is the name of several jobs: {', '.join(found)}")
        return found[0] if found else None


@dataclass(frozen=True)
class SubmissionState:
    """What its queue says of a submission: these tasks live, or none does, or it does not answer.

    Attributes:
        submission: What was asked about.
        job: The queue's id, None where there is no job.
        tasks: Those that wait, run or end.
        silent: Why nothing is known, in the queue's words; None if it answered.
        elsewhere: The folder that tasks of it work on, of which this one is a copy; nothing here is theirs.
    """

    submission: Submission
    job: str | None
    tasks: tuple[Task, ...] = ()
    silent: str | None = None
    elsewhere: str | None = None

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"job {self.job}" if self.job else f"job {self.submission.name}, whose number is not known"


class Submissions:
    """All submissions from one folder, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Submission]:
        """Those that there are or may be, oldest first.

        Raises:
            VidclsError: If a file is damaged.
        """
        files = sorted(self.folder.glob("[0-9]*.json")) if self.folder.is_dir() else []
        found = [self._read(file) for file in files if file.suffixes == [".json"]]
        return [submission for submission in found if not submission.is_void]

    @contextlib.contextmanager
    def claim(self, *, what: str, say: Callable[[str], None]) -> Iterator[None]:
        """Be the only process that submits from this folder, for the length of a `with` block.

        A claim whose holder died is taken over.

        Args:
            what: What is submitted, for messages.
            say: Told when a holder on another machine is waited for.

        Raises:
            VidclsError: If a live process has the claim.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(lock.hold(self.folder / "lock", doing=f"submitting {what}", say=say))
            except VidclsError as error:
                raise VidclsError(
                    f"{error.message} at this moment; nothing was submitted here",
                    hint="give the same command again once it has ended",
                ) from error
            yield

    def look(self) -> list[SubmissionState]:
        """What the queues say, oldest first."""
        return [submission.look() for submission in self.all()]

    def look_and_settle(self) -> list[SubmissionState]:
        """The same, by whoever has the claim; what became of those that were cut off is written down."""
        seen = [submission.look(patiently=True) for submission in self.all()]
        for one in seen:
            if one.submission.job is None and one.silent is None:
                self._end(one.submission.file, one.job)
        return [one for one in seen if one.job or one.silent]

    def submit(self, job: Job, profile: AnyProfile, *, num_workers: int = 1) -> str:
        """Submit, by whoever has the claim and has looked.

        Returns:
            The job's id.

        Raises:
            QueueSilentError: If it cannot be told whether the queue took it.
            VidclsError: If it was refused.
        """
        job, queue = job.with_token(), open_queue(profile)
        # A script that cannot be is no submission.
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
            hint = f"{error.hint}\n  the same command again looks for it before it submits anything"
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
            # A network disk shows a new file late, but it never lets it be made twice.
            raise VidclsError(
                f"{file}: another process submits at this moment; nothing was submitted here",
                hint="give the same command again",
            )
        return file

    def _end(self, file: Path, job: str | None) -> bool:
        """Write down what became of one; False where another process has, to which it seemed lost."""
        return _create(file.with_suffix(".job.json"), {"job": job})

    def _take_back(self, queue: Queue, job_id: str) -> None:
        queue.cancel([job_id])
        raise VidclsError(
            f"job {job_id} was taken back: this process was asleep, and another one submitted in its place"
        )

    def _read(self, file: Path) -> Submission:
        end = file.with_suffix(".job.json")
        hint = f"restore it; or, only if the job that it tells of is gone: rm {file}"
        record = read_json(file, _RECORD, hint=hint)
        try:
            job, is_known = read_json(end, _END, hint=hint)["job"], True
        except FileNotFoundError:
            job, is_known = None, False
        try:
            profile = profile_of(record["profile"])
        except VidclsError as error:
            raise DamagedError(f"{file}: damaged: {error.message}", hint=hint) from error
        # Two machines may see one folder under two paths, and a folder that is moved keeps its inode.
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
    """Make a file, whole and on disk; False where another process made it first."""
    # Whose file it is, should the answer of a network disk be lost, the token tells.
    token = secrets.token_hex(8)
    return create_file(path, json.dumps({**content, "token": token}, indent=1).encode())
