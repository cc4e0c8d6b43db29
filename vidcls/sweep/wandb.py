"""Weights & Biases as sweep engine: the W&B server searches, and W&B agents run `vidcls train`.

`python -m vidcls.sweep.wandb ID` is an agent for a batch queue. On the warning signal of the queue it ends
its training as preempted, so that the server hands the trial out again. It then starts no other trial and
exits with code 75, which asks the queue to requeue the job.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from vidcls.errors import ExitCode, UserError, VidclsError
from vidcls.sweep.space.space import overrides
from vidcls.tracking.limits import SERVICE, limit_s
from vidcls.tracking.patient_client import wait_for_sessions

_WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
_ENDS = (signal.SIGTERM, signal.SIGINT)
_CREATED = re.compile(r"wandb agent (\S+/\S+/\S+)")
_CLIENT = (sys.executable, "-m", "vidcls.tracking.patient_client")
_SWEEP = re.compile(r"[\w.-]+/[\w.-]+/[\w-]+")


def create_sweep(file: Path, *, project: str | None = None, entity: str | None = None) -> str:
    """Create a sweep on the server from a sweep file, as `wandb sweep` does.

    Args:
        file: W&B sweep file.
        project: Project; None takes that of the file.
        entity: User or team; None takes that of the file, or of the logged-in user.

    Returns:
        Sweep as `entity/project/id`, which any agent accepts.

    Raises:
        VidclsError: If the server cannot be reached or refuses the sweep, with the message of the server.
    """
    where = [f"--{name}={value}" for name, value in (("project", project), ("entity", entity)) if value]
    command = [*_CLIENT, "sweep", *where, str(file)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment(), check=False
    )
    found = _CREATED.search(done.stderr) or _CREATED.search(done.stdout)
    if done.returncode or found is None:
        words = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-5:])
        hint = "log in with `wandb login`, or give --engine serverless to search without a server"
        raise VidclsError(
            f"{file}: Weights & Biases did not create a sweep from this file:\n{words}", hint=hint
        )
    return found[1]


def agent_command(sweep: str, *, count: int | None = None) -> tuple[str, ...]:
    """Command of a job, or of each task of an array, that works on a sweep.

    Args:
        sweep: Sweep as returned by `create_sweep`.
        count: Maximum number of trials; None continues until the sweep is done.

    Raises:
        UserError: If `sweep` is not the path of a sweep.
    """
    if not _SWEEP.fullmatch(sweep):
        raise UserError(
            f"{sweep}: not the path of a W&B sweep",
            hint="write it as ENTITY/PROJECT/ID, as `wandb sweep` does",
        )
    limit = () if count is None else ("--count", str(count))
    # -P: agents of an array run the code that was frozen for them, not the code in the working folder.
    return (sys.executable, "-P", "-m", "vidcls.sweep.wandb", sweep, *limit)


def run_agent(sweep: str, *, count: int | None = None) -> ExitCode:
    """Work on a sweep until it is done, or until the queue is about to end the job.

    Must be called in the main thread.

    Returns:
        75 after a warning (USR1, USR2), 1 after TERM or INT or if the agent failed, else 0.
    """
    limit = [] if count is None else ["--count", str(count)]
    # A shell that starts this process in the background ignores INT, and the agent would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The warnings stay pending until the training has its signal handlers; before that they would kill it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WARNINGS)
    command = [*_CLIENT, "agent", *limit, sweep]
    agent = subprocess.Popen(command, env=_environment())
    awaited = (*_WARNINGS, *_ENDS, signal.SIGCHLD)
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    code, asked = ExitCode.DONE, set[str]()
    while agent.poll() is None:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            code = ExitCode.REQUEUE if number in _WARNINGS else ExitCode.FAILED
            asked |= _preempt(agent)
    for run_id in asked:
        _hand_back(sweep, run_id)
    return code or (ExitCode.FAILED if agent.returncode else ExitCode.DONE)


def _preempt(agent: subprocess.Popen[bytes]) -> set[str]:
    """Make the training save and the agent exit after it, without another trial.

    Returns:
        Ids on the server of the trials that were being trained; at most one.
    """
    agent.send_signal(signal.SIGINT)
    asked = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(agent.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name().startswith("wandb"):  # the service process of the client is needed to the end
                    continue
                child.send_signal(signal.SIGUSR1)
                asked.add(child.environ().get("WANDB_RUN_ID", ""))
    return asked - {""}


def _hand_back(sweep: str, run_id: str) -> None:
    """Mark a trial as preempted that ended without a report, e.g. while it was still preparing its data."""
    entity, project, sweep_id = sweep.split("/")
    sweep_env = {"WANDB_SWEEP_ID": sweep_id, "WANDB_ENTITY": entity, "WANDB_PROJECT": project}
    # The client reads these variables once, when it is first used.
    os.environ.update(sweep_env, WANDB_RUN_ID=run_id)
    import wandb

    wait_for_sessions()
    try:
        state = wandb.Api().run(f"{entity}/{project}/{run_id}").state
    except (ValueError, wandb.errors.CommError):  # the trial was never started
        state = "pending"
    if state not in ("pending", "running"):
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)
        run = wandb.init(mode="online", resume="allow", dir=folder, settings=settings)
        run.mark_preempting()
        run.finish(exit_code=int(ExitCode.REQUEUE))


def point_overrides() -> list[str]:
    """Point to train, as overrides of a spec; only inside `wandb.agent(ID, function=...)`.

    Raises:
        UserError: If called outside of an agent.
    """
    path = os.environ.get("WANDB_SWEEP_PARAM_PATH")
    if path is None:
        raise UserError("no point of a sweep here: call this in a function that `wandb.agent` runs")
    import yaml

    content: Mapping[str, object] = yaml.safe_load(Path(path).read_bytes())
    point = {key: entry["value"] for key, entry in content.items() if isinstance(entry, dict)}
    return list(overrides(point))


def _environment() -> dict[str, str]:
    """This environment, with `vidcls` and `python` of this installation first in PATH for the commands."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    # WANDB_SERVICE names the service of another client, which may be gone.
    kept = {name: v for name, v in os.environ.items() if name != "WANDB_SERVICE"}
    return {SERVICE: f"{limit_s(SERVICE):g}", **kept, "PATH": path}


def _main() -> int:
    parser = argparse.ArgumentParser(description="Work on a W&B sweep as a job of a batch queue.")
    parser.add_argument("sweep", metavar="ENTITY/PROJECT/ID")
    parser.add_argument("--count", type=int, help="maximum number of trials")
    args = parser.parse_args()
    return run_agent(args.sweep, count=args.count)


if __name__ == "__main__":
    sys.exit(_main())
