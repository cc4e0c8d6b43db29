"""Runs one job of the stand-in: its elements with LSF's variables, limits, signals, and requeue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.lsf.options import parse

_POLL_S = 0.05
_GRACE_S = 10.0
"""Between the signals that end a job, as LSF's own JOB_TERMINATE_INTERVAL."""
# bkill, and a job that goes on after its limit: INT, then TERM, then KILL.
_KILL = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@dataclass
class Element:
    """One element of an array, or the only one of a plain job (number 0)."""

    number: int
    state: str = "PEND"
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    warned: bool = False
    over: bool = False
    kill_at: float | None = None
    kills: int = 0


class Runner:
    """Starts elements up to the throttle and sees each of them to its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "script"
        self.options = parse(self.script.read_text(errors="surrogateescape"))
        self.environment = json.loads((folder / "env.json").read_text())
        last = self.options.last
        self.elements = [Element(n) for n in ([0] if last is None else range(1, last + 1))]

    def run(self) -> None:
        """Until every element is DONE or EXIT."""
        while any(element.state in ("PEND", "RUN") for element in self.elements):
            for element in self.elements:
                if element.state == "PEND" and self._asked_to_end(element):
                    self._become(element, "EXIT")
                elif element.state == "PEND" and self._has_room():
                    self._start(element)
                elif element.state == "RUN":
                    self._look(element)
            time.sleep(_POLL_S)

    def _has_room(self) -> bool:
        running = sum(element.state == "RUN" for element in self.elements)
        return self.options.throttle is None or running < self.options.throttle

    def _asked_to_end(self, element: Element) -> bool:
        return (self.folder / f"kill-{element.number}").exists()

    def _start(self, element: Element) -> None:
        job = self.folder.name
        index = f"[{element.number}]" if element.number else ""
        own = {
            "LSB_JOBID": job,
            "LSB_JOBINDEX": str(element.number),
            "LSB_JOBNAME": self.options.name + index,
            "LSB_QUEUE": self.options.queue,
            "LSB_DJOB_NUMPROC": str(self.options.cores),
        }
        log = Path(self.options.log.replace("%J", job).replace("%I", str(element.number)))
        with log.open("ab") as out:
            element.process = subprocess.Popen(
                ["bash", str(self.script)],
                env=self.environment | own,
                cwd=json.loads((self.folder / "cwd.json").read_text()),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        element.started, element.warned, element.over = time.monotonic(), False, False
        element.kill_at, element.kills = None, 0
        self._become(element, "RUN")

    def _look(self, element: Element) -> None:
        assert element.process is not None
        code = element.process.poll()
        if code is not None:
            code = 128 - code if code < 0 else code  # as the shell of LSF's own job file reports a signal
            again = code in self.options.requeue_codes and not self._asked_to_end(element)
            self._become(element, "PEND" if again else "DONE" if code == 0 else "EXIT", code)
            return
        if self._asked_to_end(element) and element.kill_at is None:
            element.kill_at = time.monotonic()
        self._limit(element)
        self._memory(element)
        if element.kill_at is not None and time.monotonic() >= element.kill_at:
            self._signal(element, _KILL[min(element.kills, 2)])
            element.kills += 1
            element.kill_at = time.monotonic() + _GRACE_S

    def _limit(self, element: Element) -> None:
        limit_min, warning = self.options.limit_min, self.options.warn_signal
        if limit_min is None:
            return
        if (jump := self.folder / f"jump-{element.number}").exists():
            jump.unlink()
            element.started = time.monotonic() - (limit_min - self.options.warn_min) * 60
        ran_min = (time.monotonic() - element.started) / 60
        if warning is not None and not element.warned and ran_min >= limit_min - self.options.warn_min:
            element.warned = True
            self._signal(element, signal.Signals[f"SIG{warning}"])
        if not element.over and ran_min >= limit_min:
            element.over = True
            self._signal(element, signal.SIGUSR2)
            element.kill_at = time.monotonic() + _GRACE_S

    def _memory(self, element: Element) -> None:
        """Memory counts per core: the job may use that of all its cores together."""
        if self.options.memory_mb_per_core is None:
            return
        assert element.process is not None
        used = 0
        for process in psutil.process_iter(["memory_info"]):
            try:
                if os.getsid(process.pid) == element.process.pid:
                    used += process.info["memory_info"].rss
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        if used > self.options.memory_mb_per_core * self.options.cores * 2**20:
            self._signal(element, signal.SIGKILL)

    def _signal(self, element: Element, number: signal.Signals) -> None:
        """To every process of the job, as LSF does."""
        assert element.process is not None
        os.killpg(element.process.pid, number)

    def _become(self, element: Element, state: str, code: int | None = None) -> None:
        element.state = state
        content = {"state": state, "code": code, "pid": element.process.pid if element.process else None}
        path = self.folder / f"element-{element.number}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content))
        temporary.replace(path)


if __name__ == "__main__":
    Runner(Path(sys.argv[1])).run()
