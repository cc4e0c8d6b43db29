"""What can go wrong under a sweep on a cluster, done to a real one on purpose."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

from tests.support.clusters import vidcls
from tests.support.slurm import Slurm
from tests.support.waiting import wait_for
from vidcls.launch.job import Task
from vidcls.launch.queue import open_queue
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.status import unheard_tasks
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.jobs import ask_queues
from vidcls.sweep.storage.trials import FINAL, Trial
from vidcls.sweep.storage.worker_heartbeat import LivenessMonitor, Report, Workers

_NODES = ("node1", "node2")
_UP = ("idle", "mixed", "allocated", "completing")
_UNHEARD_S = 60.0
T = TypeVar("T")


class Chaos:
    """Faults, chosen by a seed, and the person who sees to it that somebody works.

    Args:
        slurm: The cluster, which is whole again afterwards.
        folder: A sweep that was launched there.
        seed: Of the faults.
        spare: As long as faults are left, so many trials are kept in work.
    """

    def __init__(self, slurm: Slurm, folder: SweepFolder, *, seed: int, spare: int) -> None:
        self.slurm, self.folder, self.spare = slurm, folder, spare
        self.random = random.Random(seed)
        self._begun = time.monotonic()
        self._trials, self._workers = folder.trials(), Workers(folder.storage)
        self._lease_s = folder.options().lease_s
        self._liveness = LivenessMonitor(folder.storage, lease_s=self._lease_s)
        self._unheard_since: float | None = None
        self._run_cap = load_sweep(folder.sweep_file).run_cap or 0
        self.faults: dict[str, Callable[[], str | None]] = {
            fault.__name__.lstrip("_"): fault
            for fault in (
                self._kill_worker,
                self._kill_child,
                self._kill_forkserver,
                self._kill_slurmd,
                self._kill_slurmctld,
                self._cancel,
                self._warn,
                self._requeue,
                self._drain,
                self._suspend,
                self._limit,
            )
        }

    def inflict(self, name: str) -> None:
        """One fault, as soon as there is somebody to suffer it, and life for a while after it."""
        done = self._wait_for(self.faults[name], what=name)
        self.note(f"{name}: {done}")
        if self.random.random() < 0.7:  # otherwise the next one comes at once
            before = self._progress()
            self._wait_for(lambda: self._progress() > before, what="progress")

    def finish(self) -> None:
        """See all trials to their end."""
        self.spare = 0
        self._wait_for(self._is_done, what="all trials to end")

    def note(self, text: str) -> None:
        """Pytest shows what was printed where a test fails."""
        print(f"{time.monotonic() - self._begun:6.1f} {text}", flush=True)

    def _wait_for(self, look: Callable[[], T], *, what: str) -> T:
        """Wait as the person who sees to it that somebody works; says what stands still where it gives up."""
        try:
            found: T = wait_for(lambda: self._tended(look), what=what)
        except AssertionError:
            for command in (("squeue", "--all"), ("sinfo", "--list-reasons")):
                self.note(self._ask(*command))
            self.note(vidcls("sweep", "status", self.folder.path, "--all").stdout)
            raise
        return found

    def _tended(self, look: Callable[[], T]) -> T:
        """Look, as a person who types `resume` where nobody works, and `extend` where little is left."""
        if self._num_left() < self.spare:
            self._type("extend", str(self.spare))
        elif not self._tasks() and not self._is_done():
            self._type("resume")
        self._end_lost_tasks()
        return look()

    def _end_lost_tasks(self) -> None:
        """Do as `status` says where all tasks run, but no worker reports for a minute.

        A controller that was killed after it had begun to queue a task again restores it as running.
        """
        tasks = self._tasks()
        unheard = unheard_tasks(tasks, self._workers.refresh(), self._liveness.is_dead)
        if not tasks or len(unheard) < len(tasks):
            self._unheard_since = None
            return
        self._unheard_since = self._unheard_since or time.monotonic()
        if time.monotonic() - self._unheard_since > _UNHEARD_S:
            self._unheard_since = None
            for task in unheard:
                self.note(f"  lost by its queue: {task.cancel} {self._ask(*task.cancel.split())}")

    def _type(self, verb: str, *words: str) -> None:
        done = vidcls("sweep", verb, *words, self.folder.path)
        self.note(f"  {verb}: {' '.join((done.stdout + done.stderr).split())}")

    def _tasks(self) -> list[Task]:
        queued = ask_queues(self.folder)
        assert not queued.silent, queued.notes
        return [task for task in queued.tasks if task.state != "ending"]

    def _is_done(self) -> bool:
        return self._num_left() == 0

    def _num_left(self) -> int:
        """Trials that are not at their end, those among them that nobody has begun."""
        ended = sum(trial.state in FINAL for trial in self._trials.refresh())
        return self._run_cap + self.folder.control().current().extra_trials - ended

    def _progress(self) -> int:
        """Epochs, as the trials' logs tell."""
        logs = [self.folder.trial_log(trial.number) for trial in self._trials.refresh()]
        return sum(log.read_text().count("\nepoch ") for log in logs if log.exists())

    def _busy(self) -> Report | None:
        """A worker that trains."""
        alive = [report for report in self._workers.refresh() if report.gone is None and report.trials]
        here = [report for report in alive if psutil.pid_exists(report.pid) and trial_processes(report.pid)]
        return self.random.choice(here) if here else None

    def _kill_worker(self) -> str | None:
        if (report := self._busy()) is None:
            return None
        os.kill(report.pid, signal.SIGKILL)
        return report.id

    def _kill_child(self) -> str | None:
        if (report := self._busy()) is None or not (children := trial_processes(report.pid)):
            return None
        child = self.random.choice(children)
        child.kill()
        return f"{child.pid} of {report.id}"

    def _kill_forkserver(self) -> str | None:
        if (report := self._busy()) is None or not (children := trial_processes(report.pid)):
            return None
        os.kill(children[0].ppid(), signal.SIGKILL)
        return f"of {report.id}"

    def _kill_slurmd(self) -> str | None:
        node = self.random.choice(_NODES)
        self._kill_daemon(f"slurmd.{node}.pid")
        self._start("slurmd", "-N", node)
        wait_for(lambda: self._is_up(node), what=f"{node} to be up")
        return node

    def _kill_slurmctld(self) -> str | None:
        self._kill_daemon("slurmctld.pid")
        self._start("slurmctld")
        wait_for(lambda: "UP" in self._ask("scontrol", "ping"), what="slurmctld to be up")
        # It knows what it wrote to disk: a node that was brought back after that is drained again.
        for node in _NODES:
            wait_for(lambda node=node: self._is_up(node), what=f"{node} to be up")  # type: ignore[misc]
        return "and started again"

    def _cancel(self) -> str | None:
        return self._by_task("scancel")

    def _requeue(self) -> str | None:
        return self._by_task("scontrol", "requeue")

    def _by_task(self, *command: str) -> str | None:
        if (report := self._busy()) is None or report.job is None:
            return None
        return None if self._ask(*command, report.job) else report.job  # it may be on its way out

    def _warn(self) -> str | None:
        """What SLURM does ahead of a time limit."""
        if self._busy() is None:
            return None
        job = self.random.choice(self.folder.submissions().all()).job
        assert job is not None
        open_queue(self.slurm.profile()).warn([job])
        return job

    def _drain(self) -> str | None:
        """A node is taken out of service while its tasks run, and brought back."""
        node = self.random.choice(_NODES)
        self._ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=chaos")
        tasks = [task for task in self._tasks() if task.host == node and task.state == "running"]
        for task in tasks[:1]:
            self._ask("scontrol", "requeue", task.name)
        wait_for(lambda: "drain" in self._node_state(node), what=f"{node} to drain")
        wait_for(lambda: self._undrained(node), what=f"{node} to be back")
        return f"{node}, {len(tasks)} tasks"

    def _is_up(self, node: str) -> bool:
        return self._undrained(node) and self._node_state(node) in _UP

    def _undrained(self, node: str) -> bool:
        """Refused while the node is changing its state for another reason."""
        if "drain" in self._node_state(node):
            self._ask("scontrol", "update", f"nodename={node}", "state=resume")
        return "drain" not in self._node_state(node)

    def _suspend(self) -> str | None:
        """A worker, or the worker and its trials, stand still until its lease was taken from it."""
        if (report := self._busy()) is None:
            return None
        if len(self._tasks()) < 2:
            self._type("resume")  # somebody should be there to take its lease
        whole = self.random.random() < 0.5
        held = [t for t in self._trials.refresh() if t.lease and t.lease.worker == report.id]
        try:
            victims = [psutil.Process(report.pid)]
            if whole:
                victims += victims[0].children(recursive=True)
            victims = [process for process in victims if _suspended(process)]
        except psutil.NoSuchProcess:  # it has just gone by itself
            return None
        enough = time.monotonic() + 3 * self._lease_s
        try:
            # Nobody takes it while the others are busy.
            taken = lambda: not any(map(self._is_open, held)) or time.monotonic() > enough  # noqa: E731
            wait_for(lambda: self._tended(taken), what="its lease to be taken")
        finally:
            for process in victims:
                if process.is_running():
                    process.resume()
        lost = sum(not self._is_open(trial) for trial in held)
        return f"{report.id}{' with its trials' if whole else ''}, of which {lost} were taken"

    def _is_open(self, trial: Trial) -> bool:
        assert trial.lease is not None
        return self._trials.is_open(trial.lease)

    def _limit(self) -> str | None:
        """SLURM looks at its limits twice a minute, so this one strikes later."""
        if (report := self._busy()) is None or report.job is None:
            return None
        return f"{report.job} {self._ask('scontrol', 'update', f'jobid={report.job}', 'timelimit=1')}"

    def _node_state(self, node: str) -> str:
        return self._ask("sinfo", "--noheader", f"--nodes={node}", "--format=%T").rstrip("*")

    def _kill_daemon(self, pid_file: str) -> None:
        pid = int((self.slurm.state / pid_file).read_text())
        assert psutil.Process(pid).name() == pid_file.partition(".")[0]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(pid), what=f"{pid_file} to end")

    def _start(self, *command: str) -> None:
        environment = self.slurm.environment | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        subprocess.run(
            [*command, "-f", str(self.slurm.conf)], env=environment, stdin=subprocess.DEVNULL, check=True
        )

    def _ask(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.slurm.environment, capture_output=True, text=True, check=False
        )
        return (done.stdout + done.stderr).strip()


def trial_processes(worker: int) -> list[psutil.Process]:
    """The trials that a worker trains: children of its forkserver."""
    try:
        return [child for server in psutil.Process(worker).children() for child in server.children()]
    except psutil.NoSuchProcess:
        return []


def _suspended(process: psutil.Process) -> bool:
    """Make a process stand still; False if it has ended."""
    try:
        process.suspend()
    except psutil.NoSuchProcess:
        return False
    return True
