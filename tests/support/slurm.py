"""A real SLURM of two nodes on this machine, for as long as the tests of one process run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from vidcls.launch.slurm import SlurmProfile

_SCRIPTS = Path(__file__).parents[2] / "slurm" / "single"


class Slurm:
    """The cluster, for jobs of this process.

    Attributes:
        state: Everything that its daemons write is below this folder.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        # A test may change its own.
        self.environment = os.environ | {"SLURM_CONF": str(self.conf)}

    @property
    def conf(self) -> Path:
        """What SLURM_CONF must be."""
        return self.state / "slurm.conf"

    def profile(self, **settings: object) -> SlurmProfile:
        """A small profile for it."""
        usual = {"queue": "slurm", "time": "10", "cpus": 1, "memory": "200MB", "gpus": {"count": 0}}
        return SlurmProfile.model_validate(usual | settings)

    def control(self, *arguments: str) -> str:
        """What `scontrol` answers."""
        return subprocess.check_output(["scontrol", *arguments], env=self.environment, text=True)

    def hold_back(self, *, jobs_wait: bool) -> None:
        """Let jobs be queued and none begin, or let them begin again."""
        self.control("update", "partitionname=main", f"state={'down' if jobs_wait else 'up'}")

    def jobs(self) -> list[str]:
        """Ids of all jobs that wait or run."""
        listed = ["squeue", "--noheader", "--format=%F"]
        return sorted(set(subprocess.check_output(listed, env=self.environment, text=True).split()))

    def unreachable(self, folder: Path) -> Path:
        """A configuration whose controller is not there: what SLURM_CONF says while a cluster is down."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own = ("SlurmctldPort", "MessageTimeout")
        lines = [line for line in self.conf.read_text().splitlines() if not line.startswith(own)]
        path = folder / "slurm.conf"
        path.write_text("\n".join([*lines, f"SlurmctldPort={port}", "MessageTimeout=2", ""]))
        return path

    def clear(self) -> None:
        """End all jobs, those that wait to be queued again too."""
        self.hold_back(jobs_wait=False)
        listed = subprocess.check_output(
            ["squeue", "--noheader", "--format=%A"], env=self.environment, text=True
        )
        if ids := set(listed.split()):
            kill = ["scancel", "--signal=KILL", "--full", *ids]
            for command in (kill, ["scancel", *ids]):
                subprocess.run(command, env=self.environment, capture_output=True, check=False)


@contextmanager
def slurm_cluster() -> Iterator[Slurm]:
    """Start the cluster and stop it; its state folder goes when the tests passed.

    Skips where it cannot start, and fails there under VIDCLS_REQUIRE_SLURM or CI.
    """
    # Not the folder of pytest: the path of a socket has at most 107 characters.
    state = Path(tempfile.mkdtemp(prefix="vidcls-slurm-"))
    with ExitStack() as stack:
        ports = []
        for _ in range(3):
            free = stack.enter_context(socket.socket())
            free.bind(("127.0.0.1", 0))
            ports.append(str(free.getsockname()[1]))
    said = state / "up.log"
    with said.open("wb") as out:  # a pipe would stay open as long as the daemons run
        up = subprocess.run(
            [_SCRIPTS / "up.sh", state, *ports], stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False
        )
    try:
        if up.returncode != 0:
            told = " ".join(said.read_text().split())[-500:]
            reason = f"no SLURM: {told}; install slurm-wlm and munge, or run the tests as root"
            if os.environ.get("VIDCLS_REQUIRE_SLURM") or os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield Slurm(state)
    finally:
        with (state / "down.log").open("wb") as out:
            subprocess.run([_SCRIPTS / "down.sh", state], stdout=out, stderr=out, check=False)
        shutil.rmtree(state, ignore_errors=True)
